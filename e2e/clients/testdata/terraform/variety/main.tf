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

  default_tags {
    tags = { Team = "blue" }
  }
}

data "aws_availability_zones" "all" {
  state = "available"
}

resource "aws_vpc" "main" {
  cidr_block = "10.0.0.0/16"
}

resource "aws_subnet" "many" {
  count                = 20
  vpc_id               = aws_vpc.main.id
  cidr_block           = cidrsubnet(aws_vpc.main.cidr_block, 8, count.index)
  availability_zone_id = data.aws_availability_zones.all.zone_ids[count.index % 3]
}

# Forms of inline rules that the server must give back as they were written.
resource "aws_security_group" "inline" {
  count  = 10
  name   = "inline-${count.index}"
  vpc_id = aws_vpc.main.id

  ingress {
    self      = true
    protocol  = "-1"
    from_port = 0
    to_port   = 0
  }

  ingress {
    description = "two at once"
    protocol    = "icmp"
    from_port   = -1
    to_port     = -1
    cidr_blocks = ["10.0.0.0/8", "192.168.0.0/16"]
  }

  ingress {
    self            = true
    protocol        = "tcp"
    from_port       = 80
    to_port         = 80
    cidr_blocks     = ["10.0.0.0/8"]
    security_groups = [aws_security_group.base.id]
  }

  ingress {
    protocol    = "47"
    from_port   = 0
    to_port     = 0
    cidr_blocks = ["10.0.0.0/8"]
  }

  egress {
    protocol    = "icmp"
    from_port   = 8
    to_port     = 0
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_security_group" "base" {
  vpc_id                 = aws_vpc.main.id
  revoke_rules_on_delete = true
}

# Both resources for a rule, on one group at the same time.
resource "aws_security_group_rule" "self" {
  type              = "ingress"
  security_group_id = aws_security_group.base.id
  self              = true
  protocol          = "all"
  from_port         = 0
  to_port           = 65535
}

resource "aws_security_group_rule" "two" {
  type              = "egress"
  security_group_id = aws_security_group.base.id
  cidr_blocks       = ["10.0.0.0/8", "172.16.0.0/12"]
  protocol          = "tcp"
  from_port         = 0
  to_port           = 65535
}

resource "aws_vpc_security_group_ingress_rule" "many" {
  count             = 20
  security_group_id = aws_security_group.base.id
  cidr_ipv4         = "10.0.${count.index}.0/24"
  ip_protocol       = "icmp"
  from_port         = 8
  to_port           = -1
}

resource "aws_vpc_security_group_ingress_rule" "number" {
  security_group_id = aws_security_group.base.id
  cidr_ipv4         = "10.3.0.0/24"
  ip_protocol       = "50"
}

resource "aws_network_interface" "many" {
  count             = 10
  subnet_id         = aws_subnet.many[count.index].id
  private_ips_count = 2
  security_groups   = [aws_security_group.base.id, aws_security_group.inline[count.index].id]
}
