output "webhook_url" {
  description = "Where senders post leads to."
  value       = aws_cloudformation_stack.service.outputs["WebhookUrl"]
}

output "alert_topic_arn" {
  description = "Where alarms go."
  value       = aws_cloudformation_stack.service.outputs["AlertTopicArn"]
}
