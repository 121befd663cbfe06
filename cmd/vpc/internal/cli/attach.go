package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// targetKinds are what stands before the colon of a workload.
var targetKinds = []string{"netns", "pid", "docker", "tap"}

// isTarget tells a workload from a reference to an ENI; names have no colon.
func isTarget(arg string) bool {
	return strings.Contains(arg, ":")
}

// attachOptions are the flags of attach.
type attachOptions struct {
	subnet, ip, name, ifname, eni string
	groups                        []string
	noDefaultRoute, keep, public  bool
}

func (s *session) attachCommand() *cobra.Command {
	var o attachOptions
	cmd := verb("attach TARGET --subnet SUBNET", "Attach a workload to a subnet",
		"vpc attach docker:web1 --subnet web --sg web --ip 10.0.1.10\n"+
			"vpc attach netns:blue --subnet web --name blue\nvpc attach tap:vm0 --eni eni-0123456789abcdef0", args(1, 1),
		func(cmd *cobra.Command, a []string) error {
			if (o.subnet == "") == (o.eni == "") {
				return usagef("vpc attach needs either --subnet, for a new ENI, or --eni")
			}
			return doing("attach "+a[0], s.attach(cmd, a[0], &o))
		})
	cmd.Long = "Attach a workload: netns:NAME, pid:N, docker:CONTAINER or tap:NAME.\n\n" +
		"It makes an ENI that goes when the workload is detached, unless --eni names one or --keep is given.\n" +
		"Without --sg it is in the VPC's default group."
	f := cmd.Flags()
	f.StringVar(&o.subnet, "subnet", "", "subnet of the new ENI")
	f.StringVar(&o.eni, "eni", "", "attach this ENI instead of a new one")
	f.StringArrayVar(&o.groups, "sg", nil, "security group, may be repeated")
	f.StringVar(&o.ip, "ip", "", "primary private address")
	f.StringVar(&o.name, "name", "", "name of the ENI")
	f.StringVar(&o.ifname, "ifname", "", "name of the interface in the workload (default eth0)")
	f.BoolVar(&o.noDefaultRoute, "no-default-route", false, "leave the workload's default route alone")
	f.BoolVar(&o.keep, "keep", false, "keep the ENI when the workload is detached")
	f.BoolVar(&o.public, "public", false, "give it a public address while it is attached (default: as the subnet says)")
	s.completeFlag(cmd, "subnet", subnetNoun)
	s.completeFlag(cmd, "eni", eniNoun)
	s.completeFlag(cmd, "sg", sgNoun)
	completeTargets(cmd)
	return cmd
}

// attach sends the target as it was typed: only the daemon can tell whether
// there is such a workload.
func (s *session) attach(cmd *cobra.Command, target string, opt *attachOptions) error {
	req := &api.AttachWorkloadRequest{Target: target, PrivateIpAddress: opt.ip, Name: opt.name, InterfaceName: opt.ifname}
	if opt.noDefaultRoute {
		req.NoDefaultRoute = &opt.noDefaultRoute
	}
	if opt.keep {
		req.Keep = &opt.keep
	}
	if cmd.Flags().Changed("public") {
		req.AssociatePublicIpAddress = &opt.public
	}
	place, err := s.place(req, opt)
	if err != nil {
		return err
	}
	if req.Groups, err = s.resolveAll(sgNoun, opt.groups, place.vpc); err != nil {
		return err
	}
	if opt.name != "" {
		if err := s.newName(eniNoun, opt.name, place.vpc); err != nil {
			return err
		}
	}
	res, err := change[api.AttachWorkloadResult](s, "AttachWorkload", req)
	if err != nil {
		return err
	}
	if res.NetworkInterface == nil {
		return fmt.Errorf("the daemon attached %s but named no ENI", target)
	}
	o := eniObject(res.NetworkInterface)
	outcome := fmt.Sprintf("attached to %s with %s", target, res.NetworkInterface.PrivateIpAddress)
	if public := publicAddresses(res.NetworkInterface); public != "" {
		outcome += " and " + public
	}
	if err := s.done(res, o, outcome); err != nil {
		return err
	}
	return s.confirmAttached(o)
}

// confirmAttached looks whether the kernel has the interface: a workload that
// is in the way of its own interface holds up nobody else's commands, so the
// wait alone does not tell.
func (s *session) confirmAttached(o object) error {
	if s.noWait || s.revision == 0 {
		return nil
	}
	res, err := ask[api.DescribeNetworkInterfacesResult](s, "DescribeNetworkInterfaces",
		&api.DescribeNetworkInterfacesRequest{NetworkInterfaceIds: []string{o.id}})
	if err != nil {
		return err
	}
	for _, n := range res.NetworkInterfaces {
		if isDown(&n) {
			return &failure{exit: api.ExitTimeout, did: true, refusal: api.Error{Code: "IncorrectState", Hint: "vpc status",
				Message: fmt.Sprintf("%s is recorded, but the kernel cannot give it to its workload yet", o)}}
		}
	}
	return nil
}

// place sets where the request attaches: in a subnet, or an ENI. It returns
// that object, whose VPC the other names are looked up in.
func (s *session) place(req *api.AttachWorkloadRequest, opt *attachOptions) (object, error) {
	if opt.eni == "" {
		o, err := s.scoped(subnetNoun, opt.subnet)
		req.SubnetId = o.id
		return o, err
	}
	o, err := s.scoped(eniNoun, opt.eni)
	req.NetworkInterfaceId = o.id
	return o, err
}

func (s *session) detachCommand() *cobra.Command {
	cmd := verb("detach TARGET|ENI", "Detach a workload",
		"vpc detach docker:web1\nvpc detach web1\nvpc detach eni-0123456789abcdef0", args(1, 1),
		func(_ *cobra.Command, a []string) error { return doing("detach "+a[0], s.detach(a[0])) })
	cmd.Long = "Detach all ENIs of a workload, or one ENI. An ENI that attach made is deleted."
	s.completeArgs(cmd, eniNoun)
	return cmd
}

// detach takes what has a colon for a workload, which needs no look-up here.
func (s *session) detach(ref string) error {
	req := &api.DetachWorkloadRequest{Target: ref}
	var o object
	if !isTarget(ref) {
		var err error
		if o, err = s.scoped(eniNoun, ref); err != nil {
			return err
		}
		req = &api.DetachWorkloadRequest{NetworkInterfaceId: o.id}
	}
	res, err := change[api.DetachWorkloadResult](s, "DetachWorkload", req)
	if err != nil {
		return err
	}
	line := fmt.Sprintf("eni %s detached from %s", strings.Join(res.NetworkInterfaceIds, ", "), ref)
	if o.id != "" {
		line = o.String() + " detached"
	}
	if err := s.emit(res, res.NetworkInterfaceIds, func() { s.say("%s", line) }); err != nil {
		return err
	}
	return s.wait(line)
}
