# Route tables. A VPC's own table and another main table exclude each other, so
# the latter is that of a second VPC.

resource "aws_default_route_table" "default" {
  default_route_table_id = aws_vpc.main.default_route_table_id
  tags                   = { Name = local.first ? "comes with it" : "came with it" }

  route {
    cidr_block = local.first ? "192.0.2.0/24" : "198.51.100.0/24"
    gateway_id = aws_internet_gateway.main.id
  }
}

# The local routes are there already and are adopted: all of them or none.
resource "aws_route_table" "inline" {
  vpc_id = aws_vpc.main.id
  tags   = { Name = local.first ? "inline" : "inline, changed" }

  route {
    cidr_block = aws_vpc.main.cidr_block
    gateway_id = "local"
  }

  route {
    cidr_block = aws_vpc_ipv4_cidr_block_association.more.cidr_block
    gateway_id = "local"
  }
}

resource "aws_route_table" "split" {
  vpc_id = aws_vpc.main.id
  tags   = { Name = "split" }
}

resource "aws_route" "public" {
  route_table_id         = aws_route_table.split.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.main.id
}

resource "aws_route" "list" {
  route_table_id             = aws_route_table.split.id
  destination_prefix_list_id = aws_ec2_managed_prefix_list.branches.id
  gateway_id                 = aws_internet_gateway.main.id
}

resource "aws_route_table_association" "a" {
  subnet_id      = aws_subnet.a.id
  route_table_id = aws_route_table.inline.id
}

resource "aws_route_table_association" "b" {
  subnet_id      = aws_subnet.b.id
  route_table_id = local.first ? aws_route_table.split.id : aws_route_table.inline.id
}

resource "aws_vpc" "second" {
  cidr_block = "10.0.0.0/16"
  tags       = { Name = "second" }
}

resource "aws_route_table" "second" {
  for_each = toset(["one", "two"])
  vpc_id   = aws_vpc.second.id
  tags     = { Name = each.value }
}

resource "aws_main_route_table_association" "second" {
  vpc_id         = aws_vpc.second.id
  route_table_id = aws_route_table.second[local.first ? "one" : "two"].id
}

data "aws_route_table" "of_a" {
  subnet_id  = aws_subnet.a.id
  depends_on = [aws_route_table_association.a]
}

data "aws_route" "public" {
  route_table_id         = aws_route.public.route_table_id
  destination_cidr_block = "0.0.0.0/0"
}

data "aws_route_tables" "all" {
  vpc_id     = aws_vpc.main.id
  depends_on = [aws_route_table.inline, aws_route_table.split]
}
