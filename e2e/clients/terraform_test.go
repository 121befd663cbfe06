package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/e2e/probe"
	"github.com/vpcfabric/vpc/vpcd/api"
)

const (
	// applyTime bounds one command; the provider alone waits 20 s in some.
	applyTime = 3 * time.Minute
	// changes is what plan -detailed-exitcode says when there are some.
	changes = 2
)

// terraform is a working directory with a configuration.
type terraform struct {
	*host
	program, dir string
	env          []string
}

// newTerraform copies a configuration of testdata/terraform and initialises it
// from a mirror: nothing of it needs the internet.
func newTerraform(h *host, configuration string) *terraform {
	h.Helper()
	program, mirror := findTerraform(h.T)
	tf := &terraform{host: h, program: program, dir: filepath.Join(h.dir, configuration)}
	h.must(os.CopyFS(tf.dir, os.DirFS(filepath.Join("testdata", "terraform", configuration))))
	rc := filepath.Join(tf.dir, "terraformrc")
	text := fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror)
	h.must(os.WriteFile(rc, []byte(text), 0o600))
	tf.env = append(h.env(account).list(h.dir), "TF_CLI_CONFIG_FILE="+rc, "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1", "TF_INPUT=0")
	tf.must(tf.run("init", "-no-color"))
	return tf
}

// run is a command; its error has what was printed and, as an
// *exec.ExitError, the code.
func (tf *terraform) run(args ...string) error {
	_, err := tf.output(args...)
	return err
}

func (tf *terraform) output(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), applyTime)
	defer cancel()
	cmd := tf.at(ctx, tf.program, args...)
	cmd.Dir, cmd.Env = tf.dir, tf.env
	// The provider is a process of Terraform's: all go together.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("terraform %s: %w\n%s%s", strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.Bytes(), nil
}

func (tf *terraform) apply(phase string) {
	tf.Helper()
	tf.must(tf.run("apply", "-no-color", "-auto-approve", "-var", phase))
}

// unchanged wants an empty plan.
func (tf *terraform) unchanged(phase string) {
	tf.Helper()
	if err := tf.run("plan", "-no-color", "-detailed-exitcode", "-var", phase); err != nil {
		tf.Errorf("the plan is not empty: %v", err)
	}
}

// planned is what a plan would do: actions by address, for all that change.
func (tf *terraform) planned(phase string) map[string]string {
	tf.Helper()
	err := tf.run("plan", "-no-color", "-detailed-exitcode", "-var", phase, "-out", "plan")
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != changes {
		tf.Fatalf("a plan with changes: %v", err)
	}
	text, err := tf.output("show", "-json", "plan")
	tf.must(err)
	var plan struct {
		Changes []struct {
			Address, Mode string
			Change        struct{ Actions []string }
		} `json:"resource_changes"`
	}
	tf.must(json.Unmarshal(text, &plan))
	out := map[string]string{}
	for _, c := range plan.Changes {
		if c.Mode == "managed" && !slices.Equal(c.Change.Actions, []string{"no-op"}) {
			out[c.Address] = strings.Join(c.Change.Actions, " ")
		}
	}
	return out
}

// values reads an output that is a map.
func (tf *terraform) values(name string) map[string]string {
	tf.Helper()
	text, err := tf.output("output", "-json", name)
	tf.must(err)
	var values map[string]any
	tf.must(json.Unmarshal(text, &values))
	out := map[string]string{}
	for name, value := range values {
		out[name] = fmt.Sprint(value)
	}
	return out
}

// inPlace is all that the second phase changes, and AWS changes without
// replacing it.
var inPlace = []string{
	"aws_default_network_acl.default",
	"aws_default_route_table.default",
	"aws_ec2_managed_prefix_list.branches",
	"aws_ec2_managed_prefix_list.office",
	"aws_ec2_tag.held",
	"aws_eip.www",
	"aws_internet_gateway.main",
	"aws_nat_gateway.egress",
	"aws_nat_gateway.inner",
	"aws_main_route_table_association.second",
	"aws_network_acl.inline",
	"aws_network_interface.spare",
	"aws_route.egress",
	"aws_route_table.inline",
	"aws_route_table.peered",
	"aws_route_table_association.b",
	"aws_security_group.inline",
	"aws_security_group_rule.old",
	"aws_subnet.a",
	"aws_vpc.main",
	"aws_vpc_peering_connection.asked",
	"aws_vpc_peering_connection_accepter.asked",
	"aws_vpc_peering_connection_options.asked",
	"aws_vpc_security_group_egress_rule.client",
	"aws_vpc_security_group_egress_rule.list",
	"aws_vpc_security_group_ingress_rule.across",
	"aws_vpc_security_group_ingress_rule.cidr",
	"aws_vpc_security_group_ingress_rule.group",
}

// TestTerraform applies, updates and destroys every resource type of what
// exists, while packets between workloads show that the configuration holds.
func TestTerraform(t *testing.T) {
	h := startHost(t)
	tf := newTerraform(h, "story")
	tf.apply("phase=1")
	tf.unchanged("phase=1")
	tf.sees()

	ids := tf.values("ids")
	w := attachWorkloads(h, ids)
	w.check(map[string]bool{"inline tcp/7001": true, "inline tcp/7002": false, "split tcp/7101": true, "split tcp/7102": false,
		"split tcp/7201": true, "split tcp/7401": true, "old udp/7301": true, "old udp/7303": false})

	planned := tf.planned("phase=2")
	for _, address := range inPlace {
		if planned[address] != "update" {
			t.Errorf("%s: %q, want an update in place", address, planned[address])
		}
		delete(planned, address)
	}
	if len(planned) > 0 {
		t.Errorf("the update would also change %v", planned)
	}
	tf.must(tf.run("apply", "-no-color", "plan"))
	tf.unchanged("phase=2")
	w.check(map[string]bool{"inline tcp/7002": true, "inline tcp/7001": false, "split tcp/7102": true, "split tcp/7101": false,
		"split tcp/7201": false, "split tcp/7401": false, "old udp/7301": true})
	tf.updated(ids)

	tf.imports("aws_subnet.b", ids["b"])
	tf.imports("aws_vpc_security_group_ingress_rule.cidr", ids["cidr_rule"])
	tf.imports("aws_network_acl.split", ids["acl"])
	tf.imports("aws_ec2_managed_prefix_list.office", ids["list"])
	tf.imports("aws_route_table.split", ids["table"])
	tf.imports("aws_route_table_association.a", ids["a"]+"/"+ids["inline_table"])
	tf.imports("aws_route.public", ids["table"]+"_0.0.0.0/0")
	tf.imports("aws_internet_gateway.main", ids["gateway"])
	tf.imports("aws_nat_gateway.egress", ids["nat"])
	tf.imports("aws_route.inspected", ids["behind"]+"_10.0.1.0/24")
	tf.imports("aws_eip.www", ids["www"])
	tf.imports("aws_eip_association.www", ids["mapping"])
	tf.imports("aws_vpc_peering_connection.asked", ids["peering"])
	tf.imports("aws_route.peered", ids["peer_table"]+"_10.9.0.0/16")
	tf.unchanged("phase=2")

	w.detach()
	tf.must(tf.run("destroy", "-no-color", "-auto-approve", "-var", "phase=2"))
	h.nothing()
}

// sees compares what the data sources have found.
func (tf *terraform) sees() {
	tf.Helper()
	got, _ := json.MarshalIndent(tf.values("seen"), "", "  ") // strings always encode
	want, _ := json.MarshalIndent(map[string]string{
		"account": account, "region": "us-east-1", "zones": "local-1a,local-1b,local-1c", "cidr": "10.0.0.0/16", "vpcs": "1",
		"subnet": "10.0.1.0/24", "subnets": "2", "group": "inline", "groups": "2", "interface": "10.0.1.50", "interfaces": "2",
		"table": "true", "tables": "4", "table_of_a": "true", "way_out": "true", "acls": "3", "acl": "true", "list": "10.0.1.0/24,192.0.2.0/24", "lists": "1",
		"gateway": "true", "elastic": "10.0.1.50", "elastics": "3", "nat": "true", "nats": "2",
		"peering": "10.20.0.0/16", "peerings": "2",
	}, "", "  ")
	if string(got) != string(want) {
		tf.Errorf("data sources: got %s\nwant %s", got, want)
	}
}

// updated looks at the second phase through vpc.
func (tf *terraform) updated(ids map[string]string) {
	tf.Helper()
	spare := ask[api.DescribeNetworkInterfacesResult](tf.host, account, "eni", "show", ids["spare"]).NetworkInterfaces[0]
	if spare.Description != "spare, changed" || api.Val(spare.SourceDestCheck) || len(spare.PrivateIpAddresses) != 2 || len(spare.Groups) != 2 {
		tf.Errorf("the updated interface: %+v", spare)
	}
	held := ask[api.DescribeNetworkInterfacesResult](tf.host, account, "eni", "show", ids["held"]).NetworkInterfaces[0]
	if len(held.Groups) != 2 || !slices.Contains(held.TagSet, api.Tag{Key: "Owner", Value: "two"}) {
		tf.Errorf("the interface with an attached group and tag: %+v", held)
	}
	if a := api.Val(spare.Association); a.AllocationId != ids["www"] || a.PublicIp == "" || a.PublicDnsName == "" || held.Association == nil {
		tf.Errorf("public addresses of the interfaces: %+v, %+v", a, held.Association)
	}
	for _, r := range ask[api.DescribeRouteTablesResult](tf.host, account, "rt", "show", ids["table"]).RouteTables[0].Routes {
		if r.State != api.RouteStateActive {
			tf.Errorf("the route %+v", r)
		}
	}
	peering := ask[api.DescribeVpcPeeringConnectionsResult](tf.host, account, "peering", "show", ids["peering"]).VpcPeeringConnections[0]
	if !api.Val(peering.AccepterVpcInfo.PeeringOptions.AllowDnsResolutionFromRemoteVpc) || api.Val(peering.RequesterVpcInfo.PeeringOptions.AllowDnsResolutionFromRemoteVpc) {
		tf.Errorf("the updated peering: %+v", peering)
	}
	for _, r := range ask[api.DescribeRouteTablesResult](tf.host, account, "rt", "show", ids["peer_table"]).RouteTables[0].Routes {
		if r.State != api.RouteStateActive {
			tf.Errorf("the route %+v", r)
		}
	}
	subnet := ask[api.DescribeSubnetsResult](tf.host, account, "subnet", "show", ids["a"]).Subnets[0]
	if !api.Val(subnet.MapPublicIpOnLaunch) {
		tf.Errorf("the updated subnet: %+v", subnet)
	}
}

// imports forgets a resource and takes it in again by its id.
func (tf *terraform) imports(address, id string) {
	tf.Helper()
	tf.must(tf.run("state", "rm", address))
	tf.must(tf.run("import", "-no-color", "-var", "phase=2", address, id))
}

// served are namespaces in Terraform's subnets: one sender, and a server for
// each kind of group.
type served struct {
	*host
	client  string
	servers map[string]netip.Addr // by group
	spaces  map[string]string     // by group
}

// ports are those on which the servers echo.
var ports = map[string][]uint16{"tcp": {7001, 7002, 7101, 7102, 7201, 7401}, "udp": {7301, 7303}}

func attachWorkloads(h *host, ids map[string]string) *served {
	h.Helper()
	w := &served{host: h, servers: map[string]netip.Addr{}, spaces: map[string]string{}}
	for group, subnet := range map[string]string{"client": "a", "inline": "b", "split": "a", "old": "b"} {
		ns := h.space(group)
		at := ask[api.AttachWorkloadResult](h, account, "attach", "netns:"+ns, "--subnet", ids[subnet], "--sg", ids[group])
		if group == "client" {
			w.client = ns
			continue
		}
		w.spaces[group], w.servers[group] = ns, address(at.NetworkInterface)
		for network, list := range ports {
			for _, port := range list {
				echo, err := probe.Serve(ns, network, port)
				h.must(err)
				h.Cleanup(func() { echo.Close() })
			}
		}
	}
	return w
}

// check tries GROUP PROTO/PORT of every entry. What must be blocked comes
// between two controls that pass.
func (w *served) check(open map[string]bool) {
	w.Helper()
	w.settled()
	try := func(to string) error {
		group, proto, at := w.parse(to)
		return probe.RoundTrip(w.client, proto, netip.AddrPortFrom(w.servers[group], at))
	}
	pass := func() {
		w.Helper()
		for to, want := range open {
			if want {
				if err := try(to); err != nil {
					w.Errorf("%s should be open: %v", to, err)
				}
			}
		}
	}
	pass()
	for to, want := range open {
		if !want {
			group, proto, port := w.parse(to)
			w.blocked(account, w.client, w.spaces[group], proto, netip.AddrPortFrom(w.servers[group], port), "security_group/ingress")
		}
	}
	pass()
}

func (w *served) parse(to string) (group, proto string, port uint16) {
	w.Helper()
	_, err := fmt.Sscanf(strings.ReplaceAll(to, "/", " "), "%s %s %d", &group, &proto, &port)
	w.must(err)
	return group, proto, port
}

func (w *served) detach() {
	w.Helper()
	w.vpc("detach", "netns:"+w.client)
	for _, ns := range w.spaces {
		w.vpc("detach", "netns:"+ns)
	}
}

// TestTerraformAtFullWidth makes many of everything at once, with every form of
// a rule: what comes back must be what was written, or the plan is not empty.
func TestTerraformAtFullWidth(t *testing.T) {
	h := startHost(t)
	tf := newTerraform(h, "variety")
	const width = "-parallelism=40"
	tf.must(tf.run("apply", "-no-color", "-auto-approve", width))
	if err := tf.run("plan", "-no-color", "-detailed-exitcode"); err != nil {
		t.Errorf("the plan is not empty: %v", err)
	}
	if n := len(ask[api.DescribeSubnetsResult](h, account, "subnet", "list").Subnets); n != 20 {
		t.Errorf("%d subnets, want 20", n)
	}
	tf.must(tf.run("destroy", "-no-color", "-auto-approve", width))
	h.nothing()
}

// nothing wants an account without VPCs, prefix lists, gateways and elastic IPs, and a kernel that agrees.
func (h *host) nothing() {
	h.Helper()
	if left := ask[api.DescribeVpcsResult](h, account, "list").Vpcs; len(left) != 0 {
		h.Errorf("left: %+v", left)
	}
	if left := ask[api.DescribeManagedPrefixListsResult](h, account, "pl", "list").PrefixLists; len(left) != 0 {
		h.Errorf("left: %+v", left)
	}
	if left := ask[api.DescribeInternetGatewaysResult](h, account, "igw", "list").InternetGateways; len(left) != 0 {
		h.Errorf("left: %+v", left)
	}
	if left := ask[api.DescribeAddressesResult](h, account, "eip", "list").Addresses; len(left) != 0 {
		h.Errorf("left: %+v", left)
	}
	h.verify()
}

// TestTerraformOfWhatIsNotBuilt: such resources fail with a clear code, and
// without the retries that Terraform makes of a server's faults.
func TestTerraformOfWhatIsNotBuilt(t *testing.T) {
	h := startHost(t)
	tf := newTerraform(h, "unbuilt")
	err := tf.run("apply", "-no-color", "-auto-approve")
	if err == nil {
		t.Fatal("it was applied")
	}
	for _, action := range []string{"CreateDhcpOptions", "CreateTransitGateway"} {
		clear := regexp.MustCompile(action + `, https response error StatusCode: 400, .* api error (InvalidAction|UnsupportedOperation): `)
		if !clear.MatchString(err.Error()) {
			t.Errorf("no clear refusal of %s: %v", action, err)
		}
	}
	if strings.Contains(err.Error(), "exceeded maximum number of attempts") {
		t.Errorf("it was tried again: %v", err)
	}
}
