package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// story runs command lines and writes down all that a user would see.
func (b *bench) story(lines ...string) string {
	b.t.Helper()
	var text strings.Builder
	for _, line := range lines {
		got := b.run(line)
		text.WriteString("$ vpc " + line + "\n" + got.out + got.errOut)
		if got.code != 0 {
			fmt.Fprintf(&text, "exit %d\n", got.code)
		}
	}
	return text.String()
}

func TestMessages(t *testing.T) {
	b := newBench(t)
	golden(t, "messages", b.story(
		"create prod --cidr 10.0.0.0/16 --tag env=live",
		"cidr add prod 10.1.0.0/16",
		"subnet add web --vpc prod --cidr 10.0.1.0/24",
		"subnet create db --vpc prod --size 24 --public",
		"sg add web --vpc prod",
		"sg allow web --in tcp/443 --from 0.0.0.0/0",
		"sg allow web --in tcp/8000-8100 --in icmp --from sg:web",
		"sg allow web --out all --to 10.0.0.0/8",
		"sg revoke web --in tcp/443 --from 0.0.0.0/0",
		"attach netns:a --subnet web --name a --ip 10.0.1.10",
		"eni add spare --subnet web --ip 10.0.1.11",
		"eni add-ip spare 10.0.1.12 10.0.1.13",
		"eni rm-ip spare 10.0.1.12",
		"eni set spare --sg web --source-dest-check=false",
		"subnet set web --name front",
		"set prod --revocation cut",
		"tag add subnet:front Name=front team=blue",
		"tag rm subnet:front team",
		"limits vpcs=10",
		"host confirm",
		"detach netns:a",
		"eni rm spare",
		"sg rm web",
		"subnet rm front db",
		"delete prod",
		"list",
	))
}

func TestTables(t *testing.T) {
	b := newBench(t)
	b.world()
	b.enis[1].ConnectionTrackingConfiguration = &api.ConnectionTrackingConfiguration{UdpTimeout: api.Ptr(int32(30)), UdpStreamTimeout: api.Ptr(int32(180))}
	b.enis[1].PrivateIpAddresses = append(b.enis[1].PrivateIpAddresses, api.NetworkInterfacePrivateIpAddress{PrivateIpAddress: "10.0.1.12"})
	b.tags = []api.TagDescription{{ResourceId: "vpc-00000000000000001", ResourceType: "vpc", Key: "env", Value: "li\nve"}}
	b.drops = []api.Drop{
		{NetworkInterfaceId: "eni-00000000000000009", Stage: "sg", Reason: "NO_RULE", Packets: api.Ptr(int64(3)), Bytes: api.Ptr(int64(192))},
		{NetworkInterfaceId: "eni-gone", Stage: "nacl_out", Reason: "network_acl", RuleId: "90", Packets: api.Ptr(int64(1)), Bytes: api.Ptr(int64(64))},
		{NetworkInterfaceId: "eni-gone", Stage: "nacl_out", Reason: "network_acl", RuleId: "32767", Packets: api.Ptr(int64(2)), Bytes: api.Ptr(int64(128))}}
	golden(t, "tables", b.story("list", "ls -o wide", "show prod", "subnet list", "subnet show web", "eni list", "eni list -o wide", "eni show docker:web1", "eni show spare",
		"sg list", "sg show db", "rt list", "rt show rtb-0", "acl list", "acl show acl-0", "az", "limits", "drops", "tag list", "tag list vpc:prod -q", "tree", "status",
		"host show", "verify", "version -q"))
}

// TestAclsAndLists: what is said of network ACLs and prefix lists.
func TestAclsAndLists(t *testing.T) {
	b := newBench(t)
	b.world()
	golden(t, "acls_and_lists", b.story(
		"acl add strict --vpc prod --tag env=live",
		"acl rule add strict --in 100 allow tcp/80 --from 0.0.0.0/0",
		"acl rule add strict --out 100 allow tcp/1024-65535 --to 10.0.0.0/8",
		"acl rule create strict --in 110 deny icmp/8/0 --from 192.0.2.0/24",
		"acl rule set strict --in 100 allow all --from 0.0.0.0/0",
		"acl show strict",
		"acl associate strict --subnet web",
		"acl list --vpc prod",
		"tree prod",
		"delete prod --cascade --dry-run",
		"acl associate default --subnet web -q",
		"acl rule rm strict --in 110",
		"acl set strict --name edge",
		"acl rm strict",
		"pl add office --max 3 --entry 203.0.113.0/24 --entry 198.51.100.0/24=branch",
		"pl add office --max 3",
		"sg allow web --in tcp/22 --from pl:office",
		"sg show web",
		"pl entry add office 192.0.2.0/24",
		"pl entry rm office 198.51.100.0/24 203.0.113.0/24",
		"pl show office",
		"pl entry list office --version 1",
		"pl entry list office -o json",
		"pl restore office --version 1",
		"pl set office --name branches --max 5",
		"pl list",
		"pl list -o wide",
		"sg revoke web --in tcp/22 --from pl:branches",
		"tag add pl:branches a=b",
		"pl rm branches --vpc prod",
	))
}

// TestRequests pins what goes over the wire where a flag's way there is not obvious.
func TestRequests(t *testing.T) {
	const subnet, sg, eni = "subnet-00000000000000004", "sg-00000000000000005", "eni-0000000000000000c"
	for line, want := range map[string][]string{
		"attach pid:42 --subnet web --sg web --ifname net1 --no-default-route --keep": {
			`AttachWorkload {"Target":"pid:42","SubnetId":"` + subnet + `","Groups":["` + sg + `"],"InterfaceName":"net1","NoDefaultRoute":true,"Keep":true}`},
		"attach tap:t0 --eni spare": {`AttachWorkload {"Target":"tap:t0","NetworkInterfaceId":"` + eni + `"}`},
		"detach web1":               {`DetachWorkload {"NetworkInterfaceId":"eni-00000000000000009"}`},
		"eni set spare --udp-timeout 40 --description x": {
			`ModifyNetworkInterfaceAttribute {"Description":{"Value":"x"},"NetworkInterfaceId":"` + eni + `"}`,
			`ModifyNetworkInterfaceAttribute {"NetworkInterfaceId":"` + eni + `","ConnectionTrackingSpecification":{"UdpTimeout":40}}`},
		"sg allow web --out icmp/8/0 --to 2001:db8::/32 --description d": {
			`AuthorizeSecurityGroupEgress {"GroupId":"` + sg + `","IpPermissions":[{"FromPort":8,"IpProtocol":"icmp","Ipv6Ranges":[{"CidrIpv6":"2001:db8::/32","Description":"d"}],"ToPort":0}]}`},
		"subnet add x --vpc prod --size 24": {`CreateSubnet {"TagSpecifications":[{"ResourceType":"subnet","Tags":[{"Key":"Name","Value":"x"}],"UniqueName":true}],"CidrBlock":"10.0.0.0/24","VpcId":"vpc-00000000000000001"}`},
		"cidr rm prod 10.0.9.9/16":          {`DisassociateVpcCidrBlock {"AssociationId":"vpc-cidr-assoc-00000000000000002"}`},
		"set prod --dns-hostnames":          {`ModifyVpcAttribute {"EnableDnsHostnames":{"Value":true},"VpcId":"vpc-00000000000000001"}`},
		"sg set web --rule sgr-00000000000000007 --description y": {
			`ModifySecurityGroupRules {"GroupId":"` + sg + `","SecurityGroupRules":[{"SecurityGroupRuleId":"sgr-00000000000000007","SecurityGroupRule":{"IpProtocol":"tcp","FromPort":443,"ToPort":443,"CidrIpv4":"0.0.0.0/0","Description":"y"}}]}`},
		"sg set web --rule sgr-00000000000000007 --in tcp/8443 --from sg:db": {
			`ModifySecurityGroupRules {"GroupId":"` + sg + `","SecurityGroupRules":[{"SecurityGroupRuleId":"sgr-00000000000000007","SecurityGroupRule":{"IpProtocol":"tcp","FromPort":8443,"ToPort":8443,"ReferencedGroupId":"sg-00000000000000006"}}]}`},
		"sg revoke web --out all --to 0.0.0.0/0": {`RevokeSecurityGroupEgress {"GroupId":"` + sg + `","IpPermissions":[{"IpProtocol":"-1","IpRanges":[{"CidrIp":"0.0.0.0/0"}]}]}`},
		"eni add x --subnet web --secondary 2 --sg db": {
			`CreateNetworkInterface {"Groups":["sg-00000000000000006"],"SecondaryPrivateIpAddressCount":2,"SubnetId":"` + subnet + `","TagSpecifications":[{"ResourceType":"network-interface","Tags":[{"Key":"Name","Value":"x"}],"UniqueName":true}]}`},
		"eni add x --subnet web --tcp-established-timeout 60 --udp-stream-timeout 0": {
			`CreateNetworkInterface {"SubnetId":"` + subnet + `","TagSpecifications":[{"ResourceType":"network-interface","Tags":[{"Key":"Name","Value":"x"}],"UniqueName":true}],"ConnectionTrackingSpecification":{"TcpEstablishedTimeout":60,"UdpStreamTimeout":0}}`},
		"eni set spare --udp-timeout 40 --tcp-established-timeout 61": {
			`ModifyNetworkInterfaceAttribute {"NetworkInterfaceId":"` + eni + `","ConnectionTrackingSpecification":{"TcpEstablishedTimeout":61,"UdpTimeout":40}}`},
		"eni add-ip spare --count 2 --reassign": {`AssignPrivateIpAddresses {"AllowReassignment":true,"NetworkInterfaceId":"` + eni + `","SecondaryPrivateIpAddressCount":2}`},
		"sg add x --vpc prod --tag a=b": {
			`CreateSecurityGroup {"Description":"x","GroupName":"x","VpcId":"vpc-00000000000000001","TagSpecifications":[{"ResourceType":"security-group","Tags":[{"Key":"a","Value":"b"}]}]}`},
		"sg revoke sgr-00000000000000007":       {`RevokeSecurityGroupIngress {"GroupId":"` + sg + `","SecurityGroupRuleIds":["sgr-00000000000000007"]}`},
		"sg revoke sgr-00000000000000007 --cut": {`RevokeSecurityGroupIngress {"GroupId":"` + sg + `","SecurityGroupRuleIds":["sgr-00000000000000007"],"CutTracked":true}`},
		"sg revoke web --out all --to 0.0.0.0/0 --cut": {
			`RevokeSecurityGroupEgress {"GroupId":"` + sg + `","IpPermissions":[{"IpProtocol":"-1","IpRanges":[{"CidrIp":"0.0.0.0/0"}]}],"CutTracked":true}`},
		"sg cut web sgr-00000000000000007 sgr-1": {`CutFlows {"GroupId":"` + sg + `","SecurityGroupRuleIds":["sgr-00000000000000007","sgr-1"]}`},
		"tag rm sg:web a":                        {`DeleteTags {"Resources":["` + sg + `"],"Tags":[{"Key":"a"}]}`},
		"tag rm sg:web a= b=c":                   {`DeleteTags {"Resources":["` + sg + `"],"Tags":[{"Key":"a","Value":""},{"Key":"b","Value":"c"}]}`},
		"tag add sg:web a=b=c":                   {`CreateTags {"Resources":["` + sg + `"],"Tags":[{"Key":"a","Value":"b=c"}]}`},
		"acl rule add default --vpc prod --in 7 deny icmp/3 --from 10.0.0.0/8": {
			`CreateNetworkAclEntry {"CidrBlock":"10.0.0.0/8","Egress":false,"IcmpTypeCode":{"Code":-1,"Type":3},"NetworkAclId":"acl-00000000000000001","Protocol":"1","RuleAction":"deny","RuleNumber":7}`},
		"acl rule set acl-0 --out 8 allow 47 --to ::/0": {
			`ReplaceNetworkAclEntry {"Egress":true,"Ipv6CidrBlock":"::/0","NetworkAclId":"acl-00000000000000001","Protocol":"47","RuleAction":"allow","RuleNumber":8}`},
		"acl rule rm default --out 8":        {`DeleteNetworkAclEntry {"Egress":true,"NetworkAclId":"acl-00000000000000001","RuleNumber":8}`},
		"acl associate default --subnet web": {`ReplaceNetworkAclAssociation {"AssociationId":"aclassoc-00000000000000004","NetworkAclId":"acl-00000000000000001"}`},
		"acl add x --vpc prod":               {`CreateNetworkAcl {"VpcId":"vpc-00000000000000001","TagSpecifications":[{"ResourceType":"network-acl","Tags":[{"Key":"Name","Value":"x"}],"UniqueName":true}]}`},
		"acl set acl-0 --name x":             {`CreateTags {"Resources":["acl-00000000000000001"],"Tags":[{"Key":"Name","Value":"x"}],"UniqueName":true}`},
		"rt add x --vpc prod":                {`CreateRouteTable {"VpcId":"vpc-00000000000000001","TagSpecifications":[{"ResourceType":"route-table","Tags":[{"Key":"Name","Value":"x"}],"UniqueName":true}]}`},
		"rt associate main --subnet web":     {`AssociateRouteTable {"RouteTableId":"rtb-00000000000000001","SubnetId":"subnet-00000000000000004"}`},
		"route add main 192.0.2.7/24 --to igw:main --vpc prod": {
			`CreateRoute {"DestinationCidrBlock":"192.0.2.7/24","GatewayId":"igw-00000000000000001","RouteTableId":"rtb-00000000000000001"}`},
		"route add main ::/0 --to igw-00000000000000001 --vpc prod": {
			`CreateRoute {"DestinationIpv6CidrBlock":"::/0","GatewayId":"igw-00000000000000001","RouteTableId":"rtb-00000000000000001"}`},
		"route set main 10.0.0.0/16 --to local":   {`ReplaceRoute {"DestinationCidrBlock":"10.0.0.0/16","LocalTarget":true,"RouteTableId":"rtb-00000000000000001"}`},
		"route rm main pl:office":                 {`DeleteRoute {"DestinationPrefixListId":"pl-00000000000000001","RouteTableId":"rtb-00000000000000001"}`},
		"pl add x --max 2 --entry 10.0.0.0/8=a=b": {`CreateManagedPrefixList {"PrefixListName":"x","Entries":[{"Cidr":"10.0.0.0/8","Description":"a=b"}],"MaxEntries":2,"AddressFamily":"IPv4","UniqueName":true}`},
		"pl set office --name hq --max 3":         {`ModifyManagedPrefixList {"PrefixListId":"pl-00000000000000001","PrefixListName":"hq","MaxEntries":3,"UniqueName":true}`},
	} {
		b := newBench(t)
		b.world()
		b.lists = []*fakeList{{ManagedPrefixList: api.ManagedPrefixList{PrefixListId: "pl-00000000000000001", PrefixListName: "office"}}}
		b.gateways = []api.InternetGateway{{InternetGatewayId: "igw-00000000000000001", Tags: []api.Tag{{Key: "Name", Value: "main"}}}}
		b.ok(line)
		if strings.Join(b.calls, "\n") != strings.Join(want, "\n") {
			t.Errorf("vpc %s\nhave %s\nwant %s", line, strings.Join(b.calls, "\n     "), strings.Join(want, "\n     "))
		}
	}
}

func TestMachineOutputs(t *testing.T) {
	b := newBench(t)
	if have, want := b.ok("create prod --cidr 10.0.0.0/16 -q"), "vpc-00000000000000001\n"; have != want {
		t.Errorf("-q: %q", have)
	}
	var one api.CreateSubnetResult
	if err := json.Unmarshal([]byte(b.ok("subnet add web --vpc prod --cidr 10.0.1.0/24 -o json")), &one); err != nil || one.Subnet == nil || one.Subnet.MapPublicIpOnLaunch == nil {
		t.Errorf("create as JSON: %+v, %v", one, err)
	}
	have := b.ok("list -o json")
	if want := "{\n  \"Vpcs\": [\n"; !strings.HasPrefix(have, want) || !strings.Contains(have, `"IsDefault": false`) {
		t.Errorf("list as JSON:\n%s", have)
	}
	if have := b.ok("list -o yaml"); !strings.HasPrefix(have, "Vpcs:\n- CidrBlock: 10.0.0.0/16\n") {
		t.Errorf("list as YAML:\n%s", have)
	}
	if have := b.ok("subnet rm web -o json"); have != "{}\n" {
		t.Errorf("delete as JSON: %q", have)
	}
	if have := b.ok("subnet list -o json"); have != "{\n  \"Subnets\": []\n}\n" {
		t.Errorf("empty list as JSON: %q", have)
	}
}

func TestUnprintableNames(t *testing.T) {
	b := newBench(t)
	b.vpcs = []api.Vpc{{VpcId: "vpc-00000000000000001", CidrBlock: "10.0.0.0/16", State: "available",
		Tags: []api.Tag{{Key: "Name", Value: "a\x1b[2J\u202eb\n\U000e0001"}}}}
	for _, c := range [][2]string{
		{"list", `a\x1b[2J\u202eb\n\U000e0001`},
		{"list -o json", `a\u001b[2J\u202eb\n\udb40\udc01`},
		{"list -o yaml", `\u202e`},
		{"tree", `vpc a\x1b[2J\u202eb\n\U000e0001 (vpc-`},
		{"delete vpc-0", `vpc a\x1b[2J\u202eb`},
	} {
		line, want := c[0], c[1]
		have := b.ok(line)
		if !strings.Contains(have, want) || strings.ContainsAny(have, "\x1b\u202e\U000e0001") {
			t.Errorf("vpc %s: %q", line, have)
		}
	}
}

func TestAccountAndScope(t *testing.T) {
	b := newBench(t)
	b.world()
	b.ok("create other --cidr 10.0.0.0/16")
	b.ok("subnet add web --vpc other --cidr 10.0.1.0/24")
	b.env["VPC_VPC"] = "other"
	if have := b.ok("subnet list -q"); strings.Count(have, "\n") != 1 {
		t.Errorf("VPC_VPC does not limit the list: %q", have)
	}
	if have := b.ok("subnet list --vpc prod -q"); !strings.HasPrefix(have, "subnet-00000000000000004") {
		t.Errorf("--vpc does not win over VPC_VPC: %q", have)
	}
	b.accounts = nil
	b.ok("list --account 000000000002")
	if len(b.accounts) != 1 || b.accounts[0] != "000000000002" {
		t.Errorf("accounts %v", b.accounts)
	}
}
