variable "assembly" {
  description = "Folder that `npx cdk synth -c stage=STAGE -o FOLDER` has written."
  type        = string
}

variable "stage" {
  description = "Name of a stage in infra/lib/stages.ts: the one that was synthesized."
  type        = string
}

variable "qualifier" {
  description = "Qualifier of the account's CDK bootstrap, whose bucket takes templates and code."
  type        = string
  default     = "hnb659fds"
}
