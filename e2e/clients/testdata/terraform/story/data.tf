# Every data source of what exists, and what the test looks at.

data "aws_caller_identity" "me" {}

data "aws_availability_zones" "all" {}

data "aws_region" "here" {
  provider = aws.named
}

data "aws_vpc" "main" {
  id = aws_vpc.main.id
}

data "aws_vpcs" "all" {
  tags = { Name = aws_vpc.main.tags.Name }
}

data "aws_subnet" "a" {
  id = aws_subnet.a.id
}

data "aws_subnets" "all" {
  filter {
    name   = "vpc-id"
    values = [aws_vpc.main.id]
  }
  depends_on = [aws_subnet.a, aws_subnet.b]
}

data "aws_security_group" "inline" {
  id = aws_security_group.inline.id
}

data "aws_security_groups" "all" {
  filter {
    name   = "group-name"
    values = ["inl*", "client"]
  }
  depends_on = [aws_security_group.inline, aws_security_group.client]
}

data "aws_network_interface" "spare" {
  id = aws_network_interface.spare.id
}

data "aws_network_interfaces" "all" {
  filter {
    name   = "subnet-id"
    values = [aws_subnet.a.id, aws_subnet.b.id]
  }
  filter {
    name   = "requester-managed"
    values = ["false"]
  }
  depends_on = [aws_network_interface.spare, aws_network_interface.held]
}

data "aws_route_table" "main" {
  vpc_id = aws_vpc.main.id
  filter {
    name   = "association.main"
    values = ["true"]
  }
}

data "aws_network_acls" "all" {
  vpc_id     = aws_vpc.main.id
  depends_on = [aws_network_acl.inline, aws_network_acl.split]
}

# Strings, so that the test compares one map.
output "seen" {
  value = {
    account    = data.aws_caller_identity.me.account_id
    region     = data.aws_region.here.name
    zones      = join(",", data.aws_availability_zones.all.names)
    cidr       = data.aws_vpc.main.cidr_block
    vpcs       = length(data.aws_vpcs.all.ids)
    subnet     = data.aws_subnet.a.cidr_block
    subnets    = length(data.aws_subnets.all.ids)
    group      = data.aws_security_group.inline.name
    groups     = length(data.aws_security_groups.all.ids)
    interface  = data.aws_network_interface.spare.private_ip
    interfaces = length(data.aws_network_interfaces.all.ids)
    table      = data.aws_route_table.main.route_table_id == aws_vpc.main.main_route_table_id
    tables     = length(data.aws_route_tables.all.ids)
    table_of_a = data.aws_route_table.of_a.route_table_id == aws_route_table.inline.id
    way_out    = data.aws_route.public.gateway_id == aws_internet_gateway.main.id
    acls       = length(data.aws_network_acls.all.ids)
    acl        = data.aws_network_acls.of_a.ids[0] == aws_network_acl.inline.id
    list       = join(",", [for e in data.aws_ec2_managed_prefix_list.office.entries : e.cidr])
    lists      = length(data.aws_ec2_managed_prefix_lists.all.ids)
    gateway    = data.aws_internet_gateway.main.internet_gateway_id == aws_internet_gateway.main.id
    elastic    = data.aws_eip.www.private_ip
    nat        = data.aws_nat_gateway.egress.public_ip == aws_eip.egress.public_ip
    nats       = length(data.aws_nat_gateways.all.ids)
    elastics   = length(data.aws_eips.all.allocation_ids)
    peering    = data.aws_vpc_peering_connection.asked.peer_cidr_block
    peerings   = length(data.aws_vpc_peering_connections.all.ids)
  }
}

output "ids" {
  value = {
    vpc          = aws_vpc.main.id
    a            = aws_subnet.a.id
    b            = aws_subnet.b.id
    client       = aws_security_group.client.id
    inline       = aws_security_group.inline.id
    split        = aws_security_group.split.id
    old          = aws_security_group.old.id
    cidr_rule    = aws_vpc_security_group_ingress_rule.cidr.id
    table        = aws_route_table.split.id
    inline_table = aws_route_table.inline.id
    acl          = aws_network_acl.split.id
    list         = aws_ec2_managed_prefix_list.office.id
    spare        = aws_network_interface.spare.id
    held         = aws_network_interface.held.id
    gateway      = aws_internet_gateway.main.id
    www          = aws_eip.www.id
    nat          = aws_nat_gateway.egress.id
    behind       = aws_route_table.behind.id
    mapping      = aws_eip_association.www.id
    peering      = aws_vpc_peering_connection.asked.id
    peer         = aws_vpc.peer.id
    peer_table   = aws_vpc.peer.main_route_table_id
  }
}
