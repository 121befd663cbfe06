# Peerings. One account has both sides, so the accepter's resource has the same
# tags as the requester's.

resource "aws_vpc" "peer" {
  cidr_block           = "10.20.0.0/16"
  enable_dns_hostnames = true
  tags                 = { Name = "peer" }
}

resource "aws_vpc_peering_connection" "asked" {
  vpc_id      = aws_vpc.beside.id
  peer_vpc_id = aws_vpc.peer.id
  tags        = { Name = local.first ? "asked" : "asked, changed" }
}

resource "aws_vpc_peering_connection_accepter" "asked" {
  vpc_peering_connection_id = aws_vpc_peering_connection.asked.id
  auto_accept               = true
  tags                      = aws_vpc_peering_connection.asked.tags
}

resource "aws_vpc_peering_connection_options" "asked" {
  vpc_peering_connection_id = aws_vpc_peering_connection_accepter.asked.id

  requester {
    allow_remote_vpc_dns_resolution = local.first
  }

  accepter {
    allow_remote_vpc_dns_resolution = !local.first
  }
}

resource "aws_vpc_peering_connection" "auto" {
  vpc_id      = aws_vpc.second.id
  peer_vpc_id = aws_vpc.peer.id
  auto_accept = true
  tags        = { Name = "auto" }
}

resource "aws_route" "peered" {
  route_table_id            = aws_vpc.peer.main_route_table_id
  destination_cidr_block    = aws_vpc.beside.cidr_block
  vpc_peering_connection_id = aws_vpc_peering_connection_accepter.asked.id
}

resource "aws_route_table" "peered" {
  vpc_id = aws_vpc.beside.id

  route {
    cidr_block                = local.first ? "10.20.0.0/16" : "10.20.0.0/17"
    vpc_peering_connection_id = aws_vpc_peering_connection_accepter.asked.id
  }
}

resource "aws_security_group" "far" {
  name   = "far"
  vpc_id = aws_vpc.peer.id
}

resource "aws_security_group" "near" {
  name   = "near"
  vpc_id = aws_vpc.beside.id
}

resource "aws_vpc_security_group_ingress_rule" "across" {
  security_group_id            = aws_security_group.near.id
  referenced_security_group_id = aws_security_group.far.id
  ip_protocol                  = "tcp"
  from_port                    = local.first ? 80 : 81
  to_port                      = 81
  depends_on                   = [aws_vpc_peering_connection_accepter.asked]
}

data "aws_vpc_peering_connection" "asked" {
  vpc_id     = aws_vpc.beside.id
  status     = "active"
  depends_on = [aws_vpc_peering_connection_accepter.asked]
}

data "aws_vpc_peering_connections" "all" {
  filter {
    name   = "accepter-vpc-info.vpc-id"
    values = [aws_vpc.peer.id]
  }
  filter {
    name   = "status-code"
    values = ["active"]
  }
  depends_on = [aws_vpc_peering_connection_accepter.asked, aws_vpc_peering_connection.auto]
}
