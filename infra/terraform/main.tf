# Deploys the stacks that CDK has synthesized with Terraform: it uploads templates and code to the bucket of
# the account's CDK bootstrap, and CloudFormation does the rest. docs/deploy.md, "With Terraform".

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

locals {
  region = data.aws_region.current.id
  bucket = "cdk-${var.qualifier}-assets-${data.aws_caller_identity.current.account_id}-${local.region}"

  data_files    = jsondecode(file("${var.assembly}/revenueflow-${var.stage}-data.assets.json")).files
  service_files = jsondecode(file("${var.assembly}/revenueflow-${var.stage}-service.assets.json")).files

  # The files to upload, by content hash: the path in the assembly, and the key in the bucket.
  files = {
    for id, file in merge(local.data_files, local.service_files) : id => {
      path   = "${var.assembly}/${file.source.path}"
      is_zip = file.source.packaging == "zip"
      key    = one(values(file.destinations)).objectKey
    }
  }

  template_keys = {
    for id, file in merge(local.data_files, local.service_files) : trimsuffix(file.source.path, ".template.json") =>
    one(values(file.destinations)).objectKey if endswith(file.source.path, ".template.json")
  }
  template_url = "https://${local.bucket}.s3.${local.region}.amazonaws.com"

  # The stacks contain named roles; the rotation of the database password is a serverless application of AWS.
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
}

data "archive_file" "code" {
  for_each         = { for id, file in local.files : id => file if file.is_zip }
  type             = "zip"
  source_dir       = each.value.path
  output_path      = "${path.root}/.terraform/revenueflow/${each.key}.zip"
  output_file_mode = "0755" # Lambda executes its content
}

resource "aws_s3_object" "file" {
  for_each = local.files
  bucket   = local.bucket
  key      = each.value.key # contains the content hash: changed content is a new object
  source   = each.value.is_zip ? data.archive_file.code[each.key].output_path : each.value.path
}

# Terraform cannot set a stack's termination protection: `prevent_destroy` stands in for it.
resource "aws_cloudformation_stack" "data" {
  name         = "revenueflow-${var.stage}-data"
  template_url = "${local.template_url}/${local.template_keys["revenueflow-${var.stage}-data"]}"
  capabilities = local.capabilities
  on_failure   = "DO_NOTHING"
  depends_on   = [aws_s3_object.file]

  timeouts {
    create = "90m"
    update = "90m"
  }
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_cloudformation_stack" "service" {
  name         = "revenueflow-${var.stage}-service"
  template_url = "${local.template_url}/${local.template_keys["revenueflow-${var.stage}-service"]}"
  capabilities = local.capabilities
  on_failure   = "DO_NOTHING"
  depends_on   = [aws_s3_object.file, aws_cloudformation_stack.data]

  timeouts {
    create = "60m"
    update = "60m"
  }
}
