terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

# Endpoint and key come from the environment.
provider "aws" {
  region                  = "local-1"
  skip_region_validation  = true
  skip_metadata_api_check = true
}

# Each of these is refused at once: none of its actions is built.
resource "aws_vpc_dhcp_options" "none" {
  domain_name = "example.com"
}

resource "aws_ec2_transit_gateway" "none" {}
