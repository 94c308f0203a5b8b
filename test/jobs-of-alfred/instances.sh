#!/bin/sh
# Stands for a command that lists what there is to test.
case $1 in
  --revision) echo r42 ;;
  shop) printf 'shop-1\nshop-2\n' ;;
esac
