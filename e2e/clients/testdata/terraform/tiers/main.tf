# What most people have: three zones with a public, a private and an intra
# subnet each. The public ones share a route table, the private ones have one per
# zone with a NAT gateway of that zone, the intra ones one that leads nowhere.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  region                  = "local-1"
  skip_region_validation  = true
  skip_metadata_api_check = true
}

data "aws_availability_zones" "all" {
  state = "available"
}

locals {
  cidr  = "10.0.0.0/16"
  zones = slice(data.aws_availability_zones.all.names, 0, 3)
  tags  = { Environment = "test", Owner = "tiers" }
}

resource "aws_vpc" "main" {
  cidr_block           = local.cidr
  enable_dns_hostnames = true
  enable_dns_support   = true
  tags                 = merge(local.tags, { Name = "tiers" })
}

resource "aws_internet_gateway" "main" {
  vpc_id = aws_vpc.main.id
  tags   = merge(local.tags, { Name = "tiers" })
}

# What comes with the VPC is managed too. The group lets everybody in: whatever
# is not reached is so by its routes.

resource "aws_default_security_group" "open" {
  vpc_id = aws_vpc.main.id
  tags   = local.tags

  ingress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }

  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_default_network_acl" "open" {
  default_network_acl_id = aws_vpc.main.default_network_acl_id
  tags                   = local.tags

  ingress {
    rule_no    = 100
    action     = "allow"
    protocol   = "-1"
    from_port  = 0
    to_port    = 0
    cidr_block = "0.0.0.0/0"
  }

  egress {
    rule_no    = 100
    action     = "allow"
    protocol   = "-1"
    from_port  = 0
    to_port    = 0
    cidr_block = "0.0.0.0/0"
  }

  lifecycle {
    ignore_changes = [subnet_ids]
  }
}

resource "aws_default_route_table" "unused" {
  default_route_table_id = aws_vpc.main.default_route_table_id
  route                  = []
  tags                   = local.tags
}

# Public.

resource "aws_subnet" "public" {
  count                   = length(local.zones)
  vpc_id                  = aws_vpc.main.id
  cidr_block              = cidrsubnet(local.cidr, 8, 101 + count.index)
  availability_zone       = local.zones[count.index]
  map_public_ip_on_launch = true
  tags                    = merge(local.tags, { Name = "public-${local.zones[count.index]}" })
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.main.id
  tags   = merge(local.tags, { Name = "public" })
}

resource "aws_route" "public" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.main.id

  timeouts {
    create = "5m"
  }
}

resource "aws_route_table_association" "public" {
  count          = length(local.zones)
  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public.id
}

# A server whose address stays: the other public workloads get theirs of their subnets.

resource "aws_network_interface" "www" {
  subnet_id       = aws_subnet.public[0].id
  security_groups = [aws_default_security_group.open.id]
  tags            = merge(local.tags, { Name = "www" })
}

resource "aws_eip" "www" {
  domain            = "vpc"
  network_interface = aws_network_interface.www.id
  tags              = merge(local.tags, { Name = "www" })
  depends_on        = [aws_internet_gateway.main]
}

# Private, with a NAT gateway per zone.

resource "aws_eip" "nat" {
  count      = length(local.zones)
  domain     = "vpc"
  tags       = merge(local.tags, { Name = "nat-${local.zones[count.index]}" })
  depends_on = [aws_internet_gateway.main]
}

resource "aws_nat_gateway" "zone" {
  count         = length(local.zones)
  allocation_id = aws_eip.nat[count.index].id
  subnet_id     = aws_subnet.public[count.index].id
  tags          = merge(local.tags, { Name = "nat-${local.zones[count.index]}" })
  depends_on    = [aws_internet_gateway.main]
}

resource "aws_subnet" "private" {
  count             = length(local.zones)
  vpc_id            = aws_vpc.main.id
  cidr_block        = cidrsubnet(local.cidr, 8, 1 + count.index)
  availability_zone = local.zones[count.index]
  tags              = merge(local.tags, { Name = "private-${local.zones[count.index]}" })
}

resource "aws_route_table" "private" {
  count  = length(local.zones)
  vpc_id = aws_vpc.main.id
  tags   = merge(local.tags, { Name = "private-${local.zones[count.index]}" })
}

resource "aws_route" "private" {
  count                  = length(local.zones)
  route_table_id         = aws_route_table.private[count.index].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.zone[count.index].id

  timeouts {
    create = "5m"
  }
}

resource "aws_route_table_association" "private" {
  count          = length(local.zones)
  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private[count.index].id
}

# Intra.

resource "aws_subnet" "intra" {
  for_each          = { for i, zone in local.zones : zone => i }
  vpc_id            = aws_vpc.main.id
  cidr_block        = cidrsubnet(local.cidr, 8, 51 + each.value)
  availability_zone = each.key
  tags              = merge(local.tags, { Name = "intra-${each.key}" })
}

resource "aws_route_table" "intra" {
  vpc_id = aws_vpc.main.id
  tags   = merge(local.tags, { Name = "intra" })
}

resource "aws_route_table_association" "intra" {
  for_each       = aws_subnet.intra
  subnet_id      = each.value.id
  route_table_id = aws_route_table.intra.id
}

output "subnets" {
  value = merge(
    { for i, s in aws_subnet.public : "public${i}" => s.id },
    { for i, s in aws_subnet.private : "private${i}" => s.id },
    { for i, zone in local.zones : "intra${i}" => aws_subnet.intra[zone].id },
  )
}

output "www" {
  value = { interface = aws_network_interface.www.id, public = aws_eip.www.public_ip }
}

output "nat" {
  value = { for i, e in aws_eip.nat : i => e.public_ip }
}
