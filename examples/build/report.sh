#!/bin/sh
# Writes a report about the task it runs in to the task's artifact.
set -eu
echo "Reporting on $SLUICE_TASK_FQN"
{
  echo "task: $SLUICE_TASK"
  echo "slots: $SLUICE_SLOTS"
} > "$SLUICE_OUTPUT/report.txt"
