variable "assembly" {
  description = "Output folder of `npx cdk synth -c stage=STAGE -o FOLDER`."
  type        = string
}

variable "stage" {
  description = "Name of the synthesized stage in infra/lib/stages.ts."
  type        = string
}

variable "qualifier" {
  description = "Qualifier of the account's CDK bootstrap, whose bucket receives templates and code."
  type        = string
  default     = "hnb659fds"
}
