# Network ACLs and prefix lists. The provider replaces single rules, entries and
# associations instead of changing them, so those stay as they are in phase 2.

resource "aws_default_network_acl" "default" {
  default_network_acl_id = aws_vpc.main.default_network_acl_id
  tags                   = { Name = "comes with it" }

  ingress {
    rule_no    = 100
    action     = "allow"
    protocol   = "-1"
    from_port  = 0
    to_port    = 0
    cidr_block = local.first ? "0.0.0.0/0" : "10.0.0.0/8"
  }

  # Its subnets have gone to the other two.
  depends_on = [aws_network_acl.inline, aws_network_acl_association.b]
}

resource "aws_network_acl" "inline" {
  vpc_id     = aws_vpc.main.id
  subnet_ids = [aws_subnet.a.id]
  tags       = { Name = local.first ? "inline" : "inline, changed" }

  ingress {
    rule_no    = 90
    action     = "deny"
    protocol   = "tcp"
    from_port  = local.first ? 22 : 23
    to_port    = 25
    cidr_block = "10.0.0.0/15"
  }

  ingress {
    rule_no    = 100
    action     = "allow"
    protocol   = "-1"
    from_port  = 0
    to_port    = 0
    cidr_block = "0.0.0.0/0"
  }

  egress {
    rule_no    = local.first ? 80 : 85
    action     = "deny"
    protocol   = "icmp"
    from_port  = 0
    to_port    = 0
    icmp_type  = 5
    icmp_code  = -1
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
}

# An ACL without rules and subnets of its own: they come as resources.
resource "aws_network_acl" "split" {
  vpc_id = aws_vpc.main.id
  tags   = { Name = "split" }
}

resource "aws_network_acl_rule" "all" {
  for_each       = { in = false, out = true }
  network_acl_id = aws_network_acl.split.id
  rule_number    = 100
  egress         = each.value
  rule_action    = "allow"
  protocol       = "-1"
  cidr_block     = "10.0.0.0/15"
}

resource "aws_network_acl_rule" "ping" {
  network_acl_id = aws_network_acl.split.id
  rule_number    = 110
  rule_action    = "deny"
  protocol       = "icmp"
  icmp_type      = 8
  icmp_code      = -1
  cidr_block     = "192.0.2.0/24"
}

resource "aws_network_acl_rule" "ports" {
  network_acl_id = aws_network_acl.split.id
  rule_number    = 120
  egress         = true
  rule_action    = "deny"
  protocol       = "udp"
  from_port      = 9000
  to_port        = 9010
  cidr_block     = "192.0.2.0/24"
}

resource "aws_network_acl_association" "b" {
  network_acl_id = aws_network_acl.split.id
  subnet_id      = aws_subnet.b.id
  depends_on     = [aws_network_acl_rule.all]
}

resource "aws_ec2_managed_prefix_list" "office" {
  name           = local.first ? "office" : "headquarters"
  address_family = "IPv4"
  max_entries    = 5
  tags           = { Stage = local.first ? "one" : "two" }

  entry {
    cidr        = local.first ? aws_subnet.a.cidr_block : "198.51.100.0/24"
    description = "where the sender is, at first"
  }

  # A description alone does not change in place: the provider's second call
  # names the version before its first one, and AWS refuses that as well.
  entry {
    cidr        = "192.0.2.0/24"
    description = "one"
  }
}

# A list without entries of its own.
resource "aws_ec2_managed_prefix_list" "branches" {
  name           = "branches"
  address_family = "IPv4"
  max_entries    = local.first ? 3 : 4
}

resource "aws_ec2_managed_prefix_list_entry" "branch" {
  for_each       = toset(["203.0.113.0/25", "203.0.113.128/25"])
  prefix_list_id = aws_ec2_managed_prefix_list.branches.id
  cidr           = each.value
  description    = "a branch"
}

resource "aws_vpc_security_group_ingress_rule" "list" {
  security_group_id = aws_security_group.split.id
  prefix_list_id    = aws_ec2_managed_prefix_list.office.id
  ip_protocol       = "tcp"
  from_port         = 7401
  to_port           = 7401
}

resource "aws_vpc_security_group_egress_rule" "list" {
  security_group_id = aws_security_group.split.id
  prefix_list_id    = local.first ? aws_ec2_managed_prefix_list.office.id : aws_ec2_managed_prefix_list.branches.id
  ip_protocol       = "udp"
  from_port         = 53
  to_port           = 53
}

resource "aws_security_group_rule" "list" {
  type              = "ingress"
  security_group_id = aws_security_group.old.id
  prefix_list_ids   = [aws_ec2_managed_prefix_list.branches.id]
  protocol          = "tcp"
  from_port         = 7402
  to_port           = 7402
}

data "aws_network_acls" "of_a" {
  vpc_id = aws_vpc.main.id
  filter {
    name   = "association.subnet-id"
    values = [aws_subnet.a.id]
  }
  depends_on = [aws_network_acl.inline]
}

data "aws_ec2_managed_prefix_list" "office" {
  id = aws_ec2_managed_prefix_list.office.id
}

data "aws_ec2_managed_prefix_lists" "all" {
  filter {
    name   = "prefix-list-name"
    values = ["branches"]
  }
  depends_on = [aws_ec2_managed_prefix_list.branches]
}
