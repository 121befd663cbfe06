"""Records what the real clients send for each EC2 action, into ec2/<Action>.http.

Run it where awscli 1 and boto3 are installed, after an action has been added:

    python record.py            writes ec2/*.http
    python record.py --check    reads the answers in ec2/*.golden as boto3 does

The clients run in this process with a fixed clock, fixed keys and a fixed
endpoint, so the signatures are real and a second run changes nothing. Headers
that are not signed are left out. A body is broken into lines before each &.
"""
import datetime
import http.server
import json
import os
import pathlib
import re
import shlex
import sys
import threading
import uuid
import xml.etree.ElementTree

import awscli.clidriver
import boto3
import botocore.auth
import botocore.parsers
import botocore.session

HERE = pathlib.Path(__file__).parent / "ec2"
PORT = 8773
ENDPOINT = f"http://127.0.0.1:{PORT}"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_DEFAULT_REGION": "local-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_MAX_ATTEMPTS": "1",
}
NOW = datetime.datetime(2026, 11, 22, 12, 0, 0, tzinfo=datetime.timezone.utc)
TOKEN = "11111111-2222-3333-4444-555555555555"

PERMISSIONS = [
    {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22,
     "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "the office & more"}],
     "UserIdGroupPairs": [{"GroupId": "sg-2", "UserId": "000000000001"}]},
    {"IpProtocol": "icmpv6", "FromPort": -1, "ToPort": -1, "Ipv6Ranges": [{"CidrIpv6": "::/0"}], "PrefixListIds": [{"PrefixListId": "pl-1"}]},
]
TAGS = [{"Key": "Name", "Value": "a b+c/ü=&"}, {"Key": "empty", "Value": ""}]
FILTERS = [{"Name": "tag:Name", "Values": ["a*", "b"]}, {"Name": "vpc-id", "Values": ["vpc-1"]}]
CLI_FILTERS = "--filters Name=tag:Name,Values=a*,b Name=vpc-id,Values=vpc-1"
PAGE = {"Filters": FILTERS, "MaxResults": 5, "NextToken": "t+/="}


def tagged(kind):
    return [{"ResourceType": kind, "Tags": TAGS}]


# By action: the command line of awscli, and the arguments of boto3.
CALLS = {
    "AcceptVpcPeeringConnection": ("--vpc-peering-connection-id pcx-1", {"VpcPeeringConnectionId": "pcx-1", "DryRun": True}),
    "AllocateAddress": ("--domain vpc --tag-specifications 'ResourceType=elastic-ip,Tags=[{Key=Name,Value=a b}]'",
        {"Domain": "vpc", "Address": "198.18.0.9", "TagSpecifications": tagged("elastic-ip")}),
    "AssignPrivateIpAddresses": ("--network-interface-id eni-1 --secondary-private-ip-address-count 2",
        {"NetworkInterfaceId": "eni-1", "PrivateIpAddresses": ["10.0.0.5", "10.0.0.6"], "AllowReassignment": False}),
    "AssignPrivateNatGatewayAddress": ("--nat-gateway-id nat-1 --private-ip-address-count 2",
        {"NatGatewayId": "nat-1", "PrivateIpAddresses": ["10.0.0.5", "10.0.0.6"], "DryRun": True}),
    "AssociateNatGatewayAddress": ("--nat-gateway-id nat-1 --allocation-ids eipalloc-1 eipalloc-2 --private-ip-addresses 10.0.0.5 10.0.0.6",
        {"NatGatewayId": "nat-1", "AllocationIds": ["eipalloc-1"], "DryRun": True}),
    "AssociateRouteTable": ("--route-table-id rtb-1 --subnet-id subnet-1", {"RouteTableId": "rtb-1", "SubnetId": "subnet-1", "DryRun": True}),
    "AssociateAddress": ("--allocation-id eipalloc-1 --instance-id i-1 --no-allow-reassociation",
        {"AllocationId": "eipalloc-1", "NetworkInterfaceId": "eni-1", "PrivateIpAddress": "10.0.0.5", "AllowReassociation": True}),
    "AssociateVpcCidrBlock": ("--vpc-id vpc-1 --cidr-block 10.1.0.0/16", {"VpcId": "vpc-1", "CidrBlock": "10.1.0.0/16"}),
    "AttachInternetGateway": ("--internet-gateway-id igw-1 --vpc-id vpc-1", {"InternetGatewayId": "igw-1", "VpcId": "vpc-1", "DryRun": True}),
    "AttachNetworkInterface": ("--network-interface-id eni-1 --instance-id i-1 --device-index 1",
        {"NetworkInterfaceId": "eni-1", "InstanceId": "i-1", "DeviceIndex": 0}),
    "AuthorizeSecurityGroupEgress": ("--group-id sg-1 --ip-permissions IpProtocol=tcp,FromPort=443,ToPort=443,IpRanges=[{CidrIp=0.0.0.0/0}]",
        {"GroupId": "sg-1", "IpPermissions": PERMISSIONS, "TagSpecifications": tagged("security-group-rule")}),
    "AuthorizeSecurityGroupIngress": ("--group-id sg-1 --protocol tcp --port 22 --cidr 10.0.0.0/8",
        {"GroupId": "sg-1", "IpPermissions": PERMISSIONS, "DryRun": True}),
    "CreateInternetGateway": ("--tag-specifications 'ResourceType=internet-gateway,Tags=[{Key=Name,Value=a b}]'",
        {"TagSpecifications": tagged("internet-gateway")}),
    "CreateNatGateway": ("--subnet-id subnet-1 --allocation-id eipalloc-1 --tag-specifications 'ResourceType=natgateway,Tags=[{Key=Name,Value=a b}]'",
        {"SubnetId": "subnet-1", "ConnectivityType": "public", "AllocationId": "eipalloc-1", "PrivateIpAddress": "10.0.0.4", "ClientToken": TOKEN,
         "SecondaryAllocationIds": ["eipalloc-2", "eipalloc-3"], "SecondaryPrivateIpAddresses": ["10.0.0.5", "10.0.0.6"], "TagSpecifications": tagged("natgateway")}),
    "CreateNetworkInterface": ("--subnet-id subnet-1 --groups sg-1 sg-2 --private-ip-address 10.0.0.5 --description 'a b'",
        {"SubnetId": "subnet-1", "Groups": ["sg-1"], "TagSpecifications": tagged("network-interface"),
         "PrivateIpAddresses": [{"PrivateIpAddress": "10.0.0.5", "Primary": True}, {"PrivateIpAddress": "10.0.0.6", "Primary": False}]}),
    "CreateManagedPrefixList": ("--prefix-list-name office --address-family IPv4 --max-entries 3 --entries 'Cidr=10.0.0.0/8,Description=a b' Cidr=192.0.2.0/24",
        {"PrefixListName": "office", "AddressFamily": "IPv4", "MaxEntries": 3, "Entries": [{"Cidr": "10.0.0.0/8"}], "TagSpecifications": tagged("prefix-list")}),
    "CreateNetworkAcl": ("--vpc-id vpc-1", {"VpcId": "vpc-1", "TagSpecifications": tagged("network-acl")}),
    "CreateNetworkAclEntry": (
        "--network-acl-id acl-1 --ingress --rule-number 100 --protocol tcp --port-range From=80,To=81 --cidr-block 0.0.0.0/0 --rule-action allow",
        {"NetworkAclId": "acl-1", "Egress": True, "RuleNumber": 90, "Protocol": "icmp", "IcmpTypeCode": {"Type": 8, "Code": -1},
         "CidrBlock": "10.0.0.0/8", "RuleAction": "deny"}),
    "CreateRoute": ("--route-table-id rtb-1 --destination-cidr-block 0.0.0.0/0 --gateway-id igw-1",
        {"RouteTableId": "rtb-1", "DestinationPrefixListId": "pl-1", "NatGatewayId": "nat-1"}),
    "CreateRouteTable": ("--vpc-id vpc-1", {"VpcId": "vpc-1", "TagSpecifications": tagged("route-table")}),
    "CreateSecurityGroup": ("--group-name web --description 'for the web' --vpc-id vpc-1",
        {"GroupName": "web", "Description": "for the web", "VpcId": "vpc-1", "TagSpecifications": tagged("security-group")}),
    "CreateSubnet": ("--vpc-id vpc-1 --cidr-block 10.0.1.0/24 --availability-zone local-1a",
        {"VpcId": "vpc-1", "CidrBlock": "10.0.1.0/24", "AvailabilityZoneId": "local1-az1", "TagSpecifications": tagged("subnet")}),
    "CreateTags": ("--resources vpc-1 subnet-1 --tags Key=Name,Value=web Key=empty,Value=", {"Resources": ["vpc-1"], "Tags": TAGS}),
    "CreateVpc": ("--cidr-block 10.0.0.0/16 --tag-specifications 'ResourceType=vpc,Tags=[{Key=Name,Value=a b}]'",
        {"CidrBlock": "10.0.0.0/16", "InstanceTenancy": "default", "TagSpecifications": tagged("vpc")}),
    "CreateVpcPeeringConnection": (
        "--vpc-id vpc-1 --peer-vpc-id vpc-2 --peer-owner-id 000000000002 --tag-specifications 'ResourceType=vpc-peering-connection,Tags=[{Key=Name,Value=a b}]'",
        {"VpcId": "vpc-1", "PeerVpcId": "vpc-2", "PeerRegion": "local-1", "TagSpecifications": tagged("vpc-peering-connection")}),
    "DeleteInternetGateway": ("--internet-gateway-id igw-1", {"InternetGatewayId": "igw-1", "DryRun": True}),
    "DeleteManagedPrefixList": ("--prefix-list-id pl-1", {"PrefixListId": "pl-1", "DryRun": True}),
    "DeleteNatGateway": ("--nat-gateway-id nat-1", {"NatGatewayId": "nat-1", "DryRun": True}),
    "DeleteNetworkAcl": ("--network-acl-id acl-1", {"NetworkAclId": "acl-1", "DryRun": True}),
    "DeleteNetworkAclEntry": ("--network-acl-id acl-1 --egress --rule-number 100", {"NetworkAclId": "acl-1", "Egress": False, "RuleNumber": 90}),
    "DeleteNetworkInterface": ("--network-interface-id eni-1", {"NetworkInterfaceId": "eni-1", "DryRun": True}),
    "DeleteRoute": ("--route-table-id rtb-1 --destination-cidr-block 0.0.0.0/0", {"RouteTableId": "rtb-1", "DestinationPrefixListId": "pl-1", "DryRun": True}),
    "DeleteRouteTable": ("--route-table-id rtb-1", {"RouteTableId": "rtb-1", "DryRun": True}),
    "DeleteSecurityGroup": ("--group-id sg-1", {"GroupName": "web"}),
    "DeleteSubnet": ("--subnet-id subnet-1", {"SubnetId": "subnet-1"}),
    "DeleteTags": ("--resources vpc-1 --tags Key=Name", {"Resources": ["vpc-1", "vpc-2"], "Tags": [{"Key": "Name", "Value": ""}]}),
    "DeleteVpc": ("--vpc-id vpc-1", {"VpcId": "vpc-1", "DryRun": False}),
    "DeleteVpcPeeringConnection": ("--vpc-peering-connection-id pcx-1", {"VpcPeeringConnectionId": "pcx-1", "DryRun": True}),
    "DescribeAccountAttributes": ("--attribute-names supported-platforms default-vpc", {}),
    "DescribeAddresses": ("--allocation-ids eipalloc-1 --public-ips 198.18.0.9", {"Filters": FILTERS}),
    "DescribeAddressesAttribute": ("--allocation-ids eipalloc-1 --attribute domain-name", {"AllocationIds": ["eipalloc-1"], "Attribute": "domain-name"}),
    "DescribeAvailabilityZones": ("--zone-names local-1a --all-availability-zones", {"ZoneIds": ["local1-az1"], "Filters": FILTERS}),
    "DescribeInstances": (CLI_FILTERS, {"InstanceIds": ["i-1", "i-2"]}),
    "DescribeInternetGateways": ("--internet-gateway-ids igw-1 --filters Name=attachment.vpc-id,Values=vpc-1", PAGE),
    "DescribeManagedPrefixLists": ("--prefix-list-ids pl-1 " + CLI_FILTERS, PAGE),
    "DescribeNatGateways": ("--filter Name=tag:Name,Values=a*,b Name=vpc-id,Values=vpc-1 --max-items 7",
        {"Filter": FILTERS, "NatGatewayIds": ["nat-1", "nat-2"], "MaxResults": 5, "NextToken": "t+/="}),
    "DescribeNetworkAcls": ("--filters Name=default,Values=true", PAGE),
    "DescribeNetworkInterfaceAttribute": ("--network-interface-id eni-1 --attribute groupSet",
        {"NetworkInterfaceId": "eni-1", "Attribute": "sourceDestCheck"}),
    "DescribeNetworkInterfaces": ("--network-interface-ids eni-1 " + CLI_FILTERS, PAGE),
    "DescribePrefixLists": ("--filters Name=prefix-list-name,Values=com.amazonaws.*", {"PrefixListIds": ["pl-1"], **PAGE}),
    "DescribeRegions": ("--all-regions", {"RegionNames": ["local-1"]}),
    "DescribeRouteTables": ("--filters Name=association.main,Values=true", PAGE),
    "DescribeSecurityGroupReferences": ("--group-id sg-1 sg-2", {"GroupId": ["sg-1"], "DryRun": True}),
    "DescribeSecurityGroupRules": ("--security-group-rule-ids sgr-1 sgr-2", PAGE),
    "DescribeSecurityGroups": ("--group-names default --group-ids sg-1", PAGE),
    "DescribeStaleSecurityGroups": ("--vpc-id vpc-1 --max-items 7", {"VpcId": "vpc-1", "MaxResults": 5, "NextToken": "t+/="}),
    "DescribeSubnets": ("--subnet-ids subnet-1 --max-items 7", PAGE),
    "DescribeTags": ("--filters Name=resource-id,Values=vpc-1", PAGE),
    "DescribeVpcAttribute": ("--vpc-id vpc-1 --attribute enableDnsSupport", {"VpcId": "vpc-1", "Attribute": "enableDnsHostnames"}),
    "DescribeVpcPeeringConnections": ("--vpc-peering-connection-ids pcx-1 --filters Name=status-code,Values=active", PAGE),
    "DescribeVpcs": (CLI_FILTERS + " --dry-run", {"VpcIds": ["vpc-2", "vpc-1"], **PAGE}),
    "DetachInternetGateway": ("--internet-gateway-id igw-1 --vpc-id vpc-1", {"InternetGatewayId": "igw-1", "VpcId": "vpc-1", "DryRun": True}),
    "DetachNetworkInterface": ("--attachment-id eni-attach-1 --force", {"AttachmentId": "eni-attach-1"}),
    "DisassociateNatGatewayAddress": ("--nat-gateway-id nat-1 --association-ids eipassoc-1 --max-drain-duration-seconds 60",
        {"NatGatewayId": "nat-1", "AssociationIds": ["eipassoc-1", "eipassoc-2"]}),
    "DisassociateRouteTable": ("--association-id rtbassoc-1", {"AssociationId": "rtbassoc-1", "DryRun": False}),
    "DisassociateAddress": ("--association-id eipassoc-1", {"PublicIp": "198.18.0.9"}),
    "DisassociateVpcCidrBlock": ("--association-id vpc-cidr-assoc-1", {"AssociationId": "vpc-cidr-assoc-1"}),
    "GetManagedPrefixListAssociations": ("--prefix-list-id pl-1 --max-items 7", {"PrefixListId": "pl-1", "MaxResults": 5, "NextToken": "t+/="}),
    "GetManagedPrefixListEntries": ("--prefix-list-id pl-1 --target-version 2", {"PrefixListId": "pl-1", "MaxResults": 5, "NextToken": "t+/="}),
    "ModifyManagedPrefixList": (
        "--prefix-list-id pl-1 --current-version 3 --add-entries 'Cidr=10.0.0.0/8,Description=a b' --remove-entries Cidr=192.0.2.0/24 Cidr=203.0.113.0/24",
        {"PrefixListId": "pl-1", "PrefixListName": "branch", "MaxEntries": 5}),
    "ModifyNetworkInterfaceAttribute": ("--network-interface-id eni-1 --no-source-dest-check",
        {"NetworkInterfaceId": "eni-1", "Description": {"Value": ""}, "Groups": ["sg-1", "sg-2"]}),
    "ModifySecurityGroupRules": (
        "--group-id sg-1 --security-group-rules 'SecurityGroupRuleId=sgr-1,SecurityGroupRule={IpProtocol=tcp,FromPort=80,ToPort=81,CidrIpv4=10.0.0.0/8}'",
        {"GroupId": "sg-1", "SecurityGroupRules": [{"SecurityGroupRuleId": "sgr-1", "SecurityGroupRule": {"IpProtocol": "-1", "ReferencedGroupId": "sg-2"}}]}),
    "ModifySubnetAttribute": ("--subnet-id subnet-1 --map-public-ip-on-launch", {"SubnetId": "subnet-1", "MapPublicIpOnLaunch": {"Value": False}}),
    "ModifyVpcAttribute": ("--vpc-id vpc-1 --no-enable-dns-support", {"VpcId": "vpc-1", "EnableDnsHostnames": {"Value": True}}),
    "ModifyVpcPeeringConnectionOptions": (
        "--vpc-peering-connection-id pcx-1 --requester-peering-connection-options AllowDnsResolutionFromRemoteVpc=true",
        {"VpcPeeringConnectionId": "pcx-1", "AccepterPeeringConnectionOptions": {"AllowDnsResolutionFromRemoteVpc": False}}),
    "RejectVpcPeeringConnection": ("--vpc-peering-connection-id pcx-1", {"VpcPeeringConnectionId": "pcx-1", "DryRun": True}),
    "ReleaseAddress": ("--allocation-id eipalloc-1", {"AllocationId": "eipalloc-1", "DryRun": True}),
    "ReplaceNetworkAclAssociation": ("--association-id aclassoc-1 --network-acl-id acl-1", {"AssociationId": "aclassoc-1", "NetworkAclId": "acl-1"}),
    "ReplaceNetworkAclEntry": (
        "--network-acl-id acl-1 --egress --rule-number 100 --protocol 1 --icmp-type-code Code=0,Type=3 --cidr-block 10.0.0.0/8 --rule-action deny",
        {"NetworkAclId": "acl-1", "Egress": False, "RuleNumber": 90, "Protocol": "-1", "Ipv6CidrBlock": "::/0", "RuleAction": "allow",
         "PortRange": {"From": 0, "To": 65535}}),
    "ReplaceRoute": ("--route-table-id rtb-1 --destination-cidr-block 10.0.0.0/16 --local-target",
        {"RouteTableId": "rtb-1", "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1"}),
    "ReplaceRouteTableAssociation": ("--association-id rtbassoc-1 --route-table-id rtb-1", {"AssociationId": "rtbassoc-1", "RouteTableId": "rtb-1", "DryRun": True}),
    "ResetNetworkInterfaceAttribute": ("--network-interface-id eni-1 --source-dest-check sourceDestCheck",
        {"NetworkInterfaceId": "eni-1", "SourceDestCheck": "sourceDestCheck"}),
    "RestoreManagedPrefixListVersion": ("--prefix-list-id pl-1 --previous-version 1 --current-version 3",
        {"PrefixListId": "pl-1", "PreviousVersion": 2, "CurrentVersion": 4}),
    "RevokeSecurityGroupEgress": ("--group-id sg-1 --security-group-rule-ids sgr-1 sgr-2", {"GroupId": "sg-1", "IpPermissions": PERMISSIONS}),
    "RevokeSecurityGroupIngress": ("--group-id sg-1 --protocol all --source-group sg-2", {"GroupId": "sg-1", "IpPermissions": PERMISSIONS}),
    "UnassignPrivateNatGatewayAddress": ("--nat-gateway-id nat-1 --private-ip-addresses 10.0.0.5 --max-drain-duration-seconds 60",
        {"NatGatewayId": "nat-1", "PrivateIpAddresses": ["10.0.0.5", "10.0.0.6"], "DryRun": False}),
    "UnassignPrivateIpAddresses": ("--network-interface-id eni-1 --private-ip-addresses 10.0.0.5 10.0.0.6",
        {"NetworkInterfaceId": "eni-1", "PrivateIpAddresses": ["10.0.0.5"]}),
    "UpdateSecurityGroupRuleDescriptionsEgress": (
        "--group-id sg-1 --ip-permissions 'IpProtocol=tcp,FromPort=443,ToPort=443,IpRanges=[{CidrIp=0.0.0.0/0,Description=all}]'",
        {"GroupId": "sg-1", "SecurityGroupRuleDescriptions": [{"SecurityGroupRuleId": "sgr-1", "Description": "x"}]}),
    "UpdateSecurityGroupRuleDescriptionsIngress": (
        "--group-id sg-1 --ip-permissions 'IpProtocol=tcp,FromPort=443,ToPort=443,IpRanges=[{CidrIp=0.0.0.0/0,Description=all}]'",
        {"GroupId": "sg-1", "IpPermissions": PERMISSIONS}),
    "GetCallerIdentity": ("", {}),
}


class Recorder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    last = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        signed = re.search("SignedHeaders=([^,]*)", self.headers["Authorization"])[1].split(";")
        names = [n for n in self.headers if n.lower() in signed + ["authorization"]]
        lines = [self.requestline] + [f"{n}: {self.headers[n]}" for n in sorted(names)]
        self.last.append("\n".join(lines) + "\n\n" + body.replace("&", "\n&") + "\n")
        action = re.search("Action=(\\w+)", body)[1]
        answer = f"<{action}Response><requestId>r</requestId><{action}Result/></{action}Response>".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def command(action):
    return re.sub("(?<!^)([A-Z])", r"-\1", action).lower()


def record(action, line, arguments):
    service = "sts" if action == "GetCallerIdentity" else "ec2"
    sections = []
    line = f"{service} {command(action)} {line}".strip()
    Recorder.last.clear()
    code = awscli.clidriver.create_clidriver().main(["--endpoint-url", ENDPOINT, *shlex.split(line)])
    if code != 0 or len(Recorder.last) != 1:
        sys.exit(f"aws {line}: exit code {code}, {len(Recorder.last)} requests")
    sections.append(f"=== aws {line}\n" + Recorder.last[0])
    Recorder.last.clear()
    client = boto3.client(service, endpoint_url=ENDPOINT)
    getattr(client, command(action).replace("-", "_"))(**arguments)
    shown = json.dumps(arguments, sort_keys=True, ensure_ascii=False)
    sections.append(f"=== boto3 {action} {shown}\n" + Recorder.last[0])
    (HERE / f"{action}.http").write_text("\n".join(sections))


def record_all():
    os.environ.update(ENVIRONMENT)
    botocore.auth.get_current_datetime = lambda remove_tzinfo=True: NOW.replace(tzinfo=None) if remove_tzinfo else NOW
    uuid.uuid4 = lambda: uuid.UUID(TOKEN)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout = open("/dev/null", "w")
    for action, (line, arguments) in CALLS.items():
        record(action, line, arguments)
    server.shutdown()


def leaves(value, name):
    if isinstance(value, dict):
        return [leaf for k, v in value.items() for leaf in leaves(v, k)]
    if isinstance(value, list):
        return [leaf for v in value for leaf in leaves(v, name)]
    return [(name, value)]


def check(action):
    """Every text in an answer is the name of its member, so what boto3 reads
    must be named as it reads, and nothing may be left over."""
    service = "sts" if action == "GetCallerIdentity" else "ec2"
    model = botocore.session.get_session().get_service_model(service)
    body = (HERE / f"{action}.golden").read_text().split("=== answer\n")[1]
    shape = model.operation_model(action).output_shape
    parser = botocore.parsers.create_parser(model.protocol)
    got = parser.parse({"status_code": 200, "headers": {}, "body": body.encode()}, shape)
    del got["ResponseMetadata"]
    tree = xml.etree.ElementTree.fromstring(body)
    sent = [e for e in tree.iter() if len(e) == 0 and e.tag.split("}")[-1].lower() != "requestid"]
    if shape is None or not shape.members:
        sent = [e for e in sent if not e.tag.endswith("}return")]
    found = leaves(got, action)
    if len(found) != len(sent):
        sys.exit(f"{action}: {len(sent)} values were sent, boto3 reads {len(found)}: {found}")
    for name, value in found:
        if isinstance(value, str) and service == "ec2" and value != name:
            sys.exit(f"{action}: boto3 reads {value!r} as {name}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        for name in sorted(p.stem for p in HERE.glob("*.golden")):
            check(name)
    else:
        record_all()
