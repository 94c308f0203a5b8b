FROM busybox:stable
ARG GREETING
ENV GREETING=$GREETING
CMD ["sh", "-euc", "echo \"$GREETING\" > $ALFRED_SHARED/greeting; echo \"token $API_TOKEN\"; test -d /alfred/output"]
