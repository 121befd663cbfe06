# Internet gateways and elastic IPs. What has a gateway has its addresses after
# it, and loses them before it.

resource "aws_internet_gateway" "main" {
  vpc_id = aws_vpc.main.id
  tags   = { Name = local.first ? "main" : "main, changed" }
}

# A gateway whose VPC comes as a resource.
resource "aws_vpc" "beside" {
  cidr_block           = "10.9.0.0/16"
  enable_dns_hostnames = true
  tags                 = { Name = "beside" }
}

# It knows the VPC from its attachment, so it goes before the VPC does.
resource "aws_internet_gateway" "beside" {
  tags       = { Name = "beside" }
  depends_on = [aws_vpc.beside]

  lifecycle {
    ignore_changes = [vpc_id]
  }
}

resource "aws_internet_gateway_attachment" "beside" {
  internet_gateway_id = aws_internet_gateway.beside.id
  vpc_id              = aws_vpc.beside.id
}

resource "aws_eip" "www" {
  domain = "vpc"
  tags   = { Name = local.first ? "www" : "www, changed" }
}

resource "aws_eip_association" "www" {
  allocation_id        = aws_eip.www.id
  network_interface_id = aws_network_interface.spare.id
  private_ip_address   = "10.0.1.50"
  depends_on           = [aws_internet_gateway.main]
}

# One that brings its association.
resource "aws_eip" "held" {
  domain            = "vpc"
  network_interface = aws_network_interface.held.id
  depends_on        = [aws_internet_gateway.main]
}

data "aws_internet_gateway" "main" {
  filter {
    name   = "attachment.vpc-id"
    values = [aws_internet_gateway.main.vpc_id]
  }
}

data "aws_eip" "www" {
  id = aws_eip_association.www.allocation_id
}

data "aws_eips" "all" {
  filter {
    name   = "domain"
    values = ["vpc"]
  }
  depends_on = [aws_eip.www, aws_eip.held, aws_eip.egress]
}
