/**
 * List prices in US dollars, us-east-1, without taxes, discounts and free tiers. From AWS's public price pages (source)
 * as of the date; they were not fetched by this program: compare them before you rely on them.
 */
export const prices = {
  region: "us-east-1",
  asOf: "2025-07",
  source: "https://aws.amazon.com/{lambda,dynamodb,sqs,s3,eventbridge,cloudwatch,cloudfront,ec2,ebs,vpc}/pricing/",
  /** Lambda on arm64. */
  lambdaGbSecond: 0.0000133334,
  lambdaRequest: 0.2 / 1e6,
  /** DynamoDB on demand. */
  dynamoDbWriteUnit: 0.625 / 1e6,
  dynamoDbReadUnit: 0.125 / 1e6,
  sqsRequest: 0.4 / 1e6,
  s3Put: 0.005 / 1000,
  s3Get: 0.0004 / 1000,
  schedulerCall: 1 / 1e6,
  alarmMonth: 0.1,
  logGb: 0.5,
  /** CloudFront: a request over HTTPS, its function and its look into the key-value store. */
  cloudFrontRequest: 1 / 1e6 + 0.1 / 1e6 + 0.03 / 1e6,
  publicAddressHour: 0.005,
  gp3GbMonth: 0.08,
  /** On demand; spot is usually a third of it, and changes. */
  instanceHour: { "c7g.xlarge": 0.145, "c7i.xlarge": 0.1785 },
} as const;
