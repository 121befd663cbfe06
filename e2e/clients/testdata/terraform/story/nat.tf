# NAT gateways, public and private, and routes to them. A gateway has its route
# after it, and loses it before it.

resource "aws_eip" "egress" {
  domain = "vpc"
  tags   = { Name = "egress" }
}

resource "aws_nat_gateway" "egress" {
  subnet_id     = aws_subnet.a.id
  allocation_id = aws_eip.egress.id
  tags          = { Name = local.first ? "egress" : "egress, changed" }
  depends_on    = [aws_internet_gateway.main]
}

resource "aws_nat_gateway" "inner" {
  subnet_id                      = aws_subnet.b.id
  connectivity_type              = "private"
  private_ip                     = "10.1.2.77"
  secondary_private_ip_addresses = local.first ? ["10.1.2.78"] : ["10.1.2.78", "10.1.2.79"]
  tags                           = { Name = "inner" }
}

resource "aws_route_table" "behind" {
  vpc_id = aws_vpc.main.id
  tags   = { Name = "behind" }
}

resource "aws_route" "egress" {
  route_table_id         = aws_route_table.behind.id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = local.first ? aws_nat_gateway.egress.id : aws_nat_gateway.inner.id
}

# To a subnet of the VPC as a whole, by an interface that inspects it.
resource "aws_route" "inspected" {
  route_table_id         = aws_route_table.behind.id
  destination_cidr_block = aws_subnet.a.cidr_block
  network_interface_id   = aws_network_interface.spare.id
}

data "aws_nat_gateway" "egress" {
  id = aws_nat_gateway.egress.id
}

data "aws_nat_gateways" "all" {
  vpc_id     = aws_vpc.main.id
  depends_on = [aws_nat_gateway.egress, aws_nat_gateway.inner]

  filter {
    name   = "state"
    values = ["available"]
  }
}
