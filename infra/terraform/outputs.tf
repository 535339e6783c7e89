output "webhook_url" {
  description = "The URL that senders post leads to."
  value       = aws_cloudformation_stack.service.outputs["WebhookUrl"]
}

output "alert_topic_arn" {
  description = "The topic that receives alarms."
  value       = aws_cloudformation_stack.service.outputs["AlertTopicArn"]
}
