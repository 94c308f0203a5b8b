/** The name (ARN) of something in the account and region of the deployment. */
export function accountResource(service: string, resource: string): $util.Output<string> {
  const { partition } = aws.getPartitionOutput();
  const { region } = aws.getRegionOutput();
  const { accountId } = aws.getCallerIdentityOutput();
  return $interpolate`arn:${partition}:${service}:${region}:${accountId}:${resource}`;
}
