package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/vpcfabric/vpc/e2e/netns"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/client"
)

const (
	// ruledGroups of ruledRules each are the thousand rules that EC2 lets one
	// interface have.
	ruledGroups, ruledRules = 5, 200
	// ruledFrom sends to ruledAt in 10.0.1.0/24.
	ruledFrom, ruledAt = "10.0.1.10", "10.0.1.11"
	// silence is how long nothing may come back from a closed port.
	silence = 20 * pace
)

// ruled is two interfaces of a private vpcd: one probes the other, which
// answers and is behind many rules or none.
type ruled struct {
	*daemon
	prober      string // namespace
	vpc, subnet string
	eni         string
	closed      string   // a group without rules
	many        []string // the groups with the rules, of which only opener is met
}

// measureRules times from a call to the first packet that passes, in
// milliseconds: for all, an interface joins groups of a thousand rules, one of
// which opens the port; for one, that rule is added to a group it is in.
func measureRules(ctx context.Context, w *world, n int) (all, one []float64, err error) {
	d, err := startDaemon(ctx, w.bin, w.dir, w.prefix+"-r", "--limit", fmt.Sprintf("rules-per-sg=%d", ruledRules))
	if d != nil {
		defer func() { err = errors.Join(err, d.remove()) }()
	}
	if err != nil {
		return nil, nil, err
	}
	r := &ruled{daemon: d}
	echo, err := r.build(ctx, w)
	if err != nil {
		return nil, nil, err
	}
	defer echo.Close()
	go answer(echo)
	for i := range n {
		a, o, err := r.once(ctx)
		if err != nil {
			return all, one, err
		}
		all, one = append(all, milliseconds(a)), append(one, milliseconds(o))
		fmt.Fprintf(os.Stderr, "\rrules: %d of %d ", i+1, n)
	}
	fmt.Fprintln(os.Stderr)
	return all, one, nil
}

// settled calls and waits until the kernel has it.
func settled[Req, Res any](ctx context.Context, d *daemon, action string, req *Req) (*Res, error) {
	res, revision, err := client.Call[Req, Res](ctx, d.api, action, req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, _, err = client.Call[api.WaitAppliedRequest, api.WaitAppliedResult](ctx, d.api, "WaitApplied", &api.WaitAppliedRequest{Revision: &revision})
	return res, err
}

// build leaves the probed port closed.
func (r *ruled) build(ctx context.Context, w *world) (echo net.PacketConn, err error) {
	vpc, err := settled[api.CreateVpcRequest, api.CreateVpcResult](ctx, r.daemon, "CreateVpc", &api.CreateVpcRequest{CidrBlock: "10.0.0.0/16"})
	if err != nil {
		return nil, err
	}
	r.vpc = vpc.Vpc.VpcId
	subnet, err := settled[api.CreateSubnetRequest, api.CreateSubnetResult](ctx, r.daemon, "CreateSubnet", &api.CreateSubnetRequest{VpcId: r.vpc, CidrBlock: "10.0.1.0/24"})
	if err != nil {
		return nil, err
	}
	r.subnet = subnet.Subnet.SubnetId
	if err := r.makeGroups(ctx); err != nil {
		return nil, err
	}
	r.prober, _, err = r.attach(ctx, w, "prober", ruledFrom, nil)
	if err != nil {
		return nil, err
	}
	ns, eni, err := r.attach(ctx, w, "ruled", ruledAt, r.many)
	if err != nil {
		return nil, err
	}
	r.eni = eni
	err = netns.Do(ns, func() (err error) {
		echo, err = net.ListenPacket("udp4", fmt.Sprintf(":%d", echoPort))
		return err
	})
	return echo, err
}

func (r *ruled) attach(ctx context.Context, w *world, role, address string, groups []string) (ns, eni string, err error) {
	if ns, err = w.space(role); err != nil {
		return "", "", err
	}
	res, err := settled[api.AttachWorkloadRequest, api.AttachWorkloadResult](ctx, r.daemon, "AttachWorkload",
		&api.AttachWorkloadRequest{Target: "netns:" + ns, SubnetId: r.subnet, PrivateIpAddress: address, Groups: groups})
	if err != nil {
		return "", "", err
	}
	return ns, res.NetworkInterface.NetworkInterfaceId, nil
}

// makeGroups leaves room for one rule in the last group, which comes and goes.
func (r *ruled) makeGroups(ctx context.Context) (err error) {
	if r.closed, err = r.makeGroup(ctx, "closed", nil); err != nil {
		return err
	}
	for g := range ruledGroups {
		var rules []api.IpPermission
		for i := range ruledRules {
			rules = append(rules, allow(int32(10000+g*ruledRules+i), fmt.Sprintf("10.%d.%d.0/24", 100+g, i)))
		}
		if g == ruledGroups-1 {
			rules = rules[1:]
		}
		id, err := r.makeGroup(ctx, fmt.Sprint("many", g), rules)
		if err != nil {
			return err
		}
		r.many = append(r.many, id)
	}
	return nil
}

// opener opens the probed port.
var opener = []api.IpPermission{allow(echoPort, ruledFrom+"/32")}

func allow(port int32, from string) api.IpPermission {
	return api.IpPermission{IpProtocol: "udp", FromPort: &port, ToPort: &port, IpRanges: []api.IpRange{{CidrIp: from}}}
}

func (r *ruled) makeGroup(ctx context.Context, name string, rules []api.IpPermission) (string, error) {
	made, err := settled[api.CreateSecurityGroupRequest, api.CreateSecurityGroupResult](ctx, r.daemon, "CreateSecurityGroup",
		&api.CreateSecurityGroupRequest{VpcId: r.vpc, GroupName: name, Description: name})
	if err != nil {
		return "", err
	}
	if len(rules) == 0 {
		return made.GroupId, nil
	}
	_, err = settled[api.AuthorizeSecurityGroupIngressRequest, api.AuthorizeSecurityGroupIngressResult](ctx, r.daemon, "AuthorizeSecurityGroupIngress",
		&api.AuthorizeSecurityGroupIngressRequest{GroupId: made.GroupId, IpPermissions: rules})
	return made.GroupId, err
}

// join gives the interface other groups.
func (r *ruled) join(ctx context.Context, groups []string) error {
	_, err := settled[api.ModifyNetworkInterfaceAttributeRequest, api.ModifyNetworkInterfaceAttributeResult](ctx, r.daemon,
		"ModifyNetworkInterfaceAttribute", &api.ModifyNetworkInterfaceAttributeRequest{NetworkInterfaceId: r.eni, Groups: groups})
	return err
}

// authorize adds the one rule that opens the probed port, to the last group.
func (r *ruled) authorize(ctx context.Context) error {
	_, err := settled[api.AuthorizeSecurityGroupIngressRequest, api.AuthorizeSecurityGroupIngressResult](ctx, r.daemon, "AuthorizeSecurityGroupIngress",
		&api.AuthorizeSecurityGroupIngressRequest{GroupId: r.many[ruledGroups-1], IpPermissions: opener})
	return err
}

func (r *ruled) revoke(ctx context.Context) error {
	_, err := settled[api.RevokeSecurityGroupIngressRequest, api.RevokeSecurityGroupIngressResult](ctx, r.daemon, "RevokeSecurityGroupIngress",
		&api.RevokeSecurityGroupIngressRequest{GroupId: r.many[ruledGroups-1], IpPermissions: opener})
	return err
}

// once measures both, and leaves the port closed behind many rules.
func (r *ruled) once(ctx context.Context) (all, one time.Duration, err error) {
	if one, err = r.opens(ctx, r.authorize); err != nil {
		return 0, 0, fmt.Errorf("one rule: %w", err)
	}
	if err := r.join(ctx, []string{r.closed}); err != nil {
		return 0, 0, err
	}
	if all, err = r.opens(ctx, func(ctx context.Context) error { return r.join(ctx, r.many) }); err != nil {
		return 0, 0, fmt.Errorf("all rules: %w", err)
	}
	return all, one, r.revoke(ctx)
}

// opens is how long after the beginning of call the first packet came back. It
// is a flow of its own: one that has been let pass would go on.
func (r *ruled) opens(ctx context.Context, call func(context.Context) error) (time.Duration, error) {
	var sock net.PacketConn
	err := netns.Do(r.prober, func() (err error) {
		sock, err = net.ListenPacket("udp4", ":0")
		return err
	})
	if err != nil {
		return 0, err
	}
	defer sock.Close()
	to := netip.MustParseAddrPort(fmt.Sprintf("%s:%d", ruledAt, echoPort))
	if err := closed(sock, to); err != nil {
		return 0, err
	}
	type arrival struct {
		at  time.Time
		err error
	}
	first := make(chan arrival, 1)
	start := time.Now()
	go func() {
		err := firstEcho(ctx, sock, to)
		first <- arrival{time.Now(), err}
	}()
	err = call(ctx)
	came := <-first
	return came.at.Sub(start), errors.Join(err, came.err)
}

// closed is an error when a packet comes back.
func closed(sock net.PacketConn, to netip.AddrPort) error {
	if _, err := sock.WriteTo([]byte("early"), net.UDPAddrFromAddrPort(to)); err != nil {
		return err
	}
	sock.SetReadDeadline(time.Now().Add(silence))
	if _, _, err := sock.ReadFrom(make([]byte, 64)); err == nil {
		return errors.New("the port was open before")
	}
	return nil
}
