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

# The data source aws_region knows the names of AWS's regions only; the server
# takes any name that a signature has.
provider "aws" {
  alias                   = "named"
  region                  = "us-east-1"
  skip_metadata_api_check = true
}

variable "phase" {
  description = "1 is the first configuration, 2 its update: everything that AWS changes in place."
  type        = number
  default     = 1
}

locals {
  first = var.phase == 1
}

resource "aws_vpc" "main" {
  cidr_block                           = "10.0.0.0/16"
  enable_dns_hostnames                 = !local.first
  enable_network_address_usage_metrics = !local.first
  tags                                 = local.first ? { Name = "tf", Stage = "one" } : { Name = "tf", Stage = "two", More = "yes" }
}

resource "aws_vpc_ipv4_cidr_block_association" "more" {
  vpc_id     = aws_vpc.main.id
  cidr_block = "10.1.0.0/16"
}

resource "aws_subnet" "a" {
  vpc_id                                      = aws_vpc.main.id
  cidr_block                                  = "10.0.1.0/24"
  availability_zone                           = data.aws_availability_zones.all.names[0]
  map_public_ip_on_launch                     = !local.first
  enable_resource_name_dns_a_record_on_launch = !local.first
  private_dns_hostname_type_on_launch         = "ip-name"
  tags                                        = { Name = "a" }
}

resource "aws_subnet" "b" {
  vpc_id     = aws_vpc_ipv4_cidr_block_association.more.vpc_id
  cidr_block = "10.1.2.0/24"
  tags       = { Name = "b" }
}

resource "aws_default_security_group" "default" {
  vpc_id = aws_vpc.main.id

  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

# A group without rules of its own: they come as resources.
resource "aws_security_group" "client" {
  name        = "client"
  description = "sends"
  vpc_id      = aws_vpc.main.id
  tags        = { Name = "client" }
}

resource "aws_vpc_security_group_egress_rule" "client" {
  security_group_id = aws_security_group.client.id
  cidr_ipv4         = local.first ? "10.0.0.0/15" : "0.0.0.0/0"
  ip_protocol       = "-1"
}

resource "aws_security_group" "inline" {
  name        = "inline"
  description = "rules inside"
  vpc_id      = aws_vpc.main.id

  ingress {
    description = "echo"
    from_port   = local.first ? 7001 : 7002
    to_port     = local.first ? 7001 : 7002
    protocol    = "tcp"
    cidr_blocks = ["10.0.0.0/15"]
  }

  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_security_group" "split" {
  name_prefix = "split-"
  vpc_id      = aws_vpc.main.id
}

resource "aws_vpc_security_group_ingress_rule" "cidr" {
  security_group_id = aws_security_group.split.id
  cidr_ipv4         = "10.0.0.0/15"
  ip_protocol       = "tcp"
  from_port         = local.first ? 7101 : 7102
  to_port           = local.first ? 7101 : 7102
  description       = local.first ? "first" : "second"
  tags              = { Name = "cidr" }
}

resource "aws_vpc_security_group_ingress_rule" "group" {
  security_group_id            = aws_security_group.split.id
  referenced_security_group_id = local.first ? aws_security_group.client.id : aws_security_group.inline.id
  ip_protocol                  = "tcp"
  from_port                    = 7201
  to_port                      = 7201
}

resource "aws_vpc_security_group_egress_rule" "all" {
  security_group_id = aws_security_group.split.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}

resource "aws_security_group" "old" {
  name   = "old"
  vpc_id = aws_vpc.main.id
}

# The older resource for a rule.
resource "aws_security_group_rule" "old" {
  type                     = "ingress"
  security_group_id        = aws_security_group.old.id
  source_security_group_id = aws_security_group.client.id
  protocol                 = "udp"
  from_port                = 7301
  to_port                  = 7302
  description              = local.first ? "one" : "two"
}

resource "aws_network_interface" "spare" {
  subnet_id         = aws_subnet.a.id
  private_ips       = local.first ? ["10.0.1.50"] : ["10.0.1.50", "10.0.1.51"]
  security_groups   = local.first ? [aws_security_group.inline.id] : [aws_security_group.inline.id, aws_security_group.split.id]
  description       = local.first ? "spare" : "spare, changed"
  source_dest_check = local.first
  tags              = { Name = "spare" }
}

# Its groups and tags are the next two resources'.
resource "aws_network_interface" "held" {
  subnet_id       = aws_subnet.b.id
  security_groups = [aws_security_group.client.id]

  lifecycle {
    ignore_changes = [security_groups, tags]
  }
}

resource "aws_network_interface_sg_attachment" "held" {
  security_group_id    = aws_security_group.old.id
  network_interface_id = aws_network_interface.held.id
}

resource "aws_ec2_tag" "held" {
  resource_id = aws_network_interface.held.id
  key         = "Owner"
  value       = local.first ? "one" : "two"
}
