package service

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vpcfabric/vpc/ipam"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// cidrAssociationPrefix starts the id of a VPC's CIDR.
const cidrAssociationPrefix = "vpc-cidr-assoc-"

// newCIDRAssociation is born associated: there is nothing to wait for but the
// hosts, and those are the VPC's business.
func (c *change) newCIDRAssociation(cidr netip.Prefix) api.VpcCidrBlockAssociation {
	return api.VpcCidrBlockAssociation{
		AssociationId:  c.newID(cidrAssociationPrefix),
		CidrBlock:      cidr.String(),
		CidrBlockState: &api.VpcCidrBlockState{State: api.VpcCidrBlockStateCodeAssociated},
	}
}

// vpcPrefixes are the CIDRs of a VPC, the primary one first.
func vpcPrefixes(vpc *record.Vpc) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range vpc.Vpc.CidrBlockAssociationSet {
		if p, err := netip.ParsePrefix(a.CidrBlock); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// associateVpcCidrBlock adds a CIDR and its local route in every table. EC2
// has no DryRun here. The answer says associating, the next Describe associated.
// Codes: those of createVpc for the CIDR itself, InvalidVpc.Range where it
// collides with a CIDR or a route of the VPC, CidrLimitExceeded.
func (s *Service) associateVpcCidrBlock(ctx context.Context, caller Caller, req *api.AssociateVpcCidrBlockRequest) (*api.AssociateVpcCidrBlockResult, int64, error) {
	if err := unsupported(
		param{"AmazonProvidedIpv6CidrBlock", api.Val(req.AmazonProvidedIpv6CidrBlock)},
		param{"Ipv6CidrBlockNetworkBorderGroup", req.Ipv6CidrBlockNetworkBorderGroup != ""},
		param{"Ipv6Pool", req.Ipv6Pool != ""},
		param{"Ipv6CidrBlock", req.Ipv6CidrBlock != ""},
		param{"Ipv4IpamPoolId", req.Ipv4IpamPoolId != ""},
		param{"Ipv4NetmaskLength", req.Ipv4NetmaskLength != nil},
		param{"Ipv6IpamPoolId", req.Ipv6IpamPoolId != ""},
		param{"Ipv6NetmaskLength", req.Ipv6NetmaskLength != nil},
	); err != nil {
		return nil, 0, err
	}
	cidr, err := parseVpcCIDR(req.CidrBlock)
	if err != nil {
		return nil, 0, err
	}
	var association api.VpcCidrBlockAssociation
	revision, err := s.mutate(ctx, caller, nil, func(c *change) error {
		vpc, err := getVpc(c.tx, c.caller, req.VpcId)
		if err != nil {
			return err
		}
		c.guard(req.VpcId)
		if err := c.checkNewCIDR(vpc, cidr); err != nil {
			return err
		}
		association = c.newCIDRAssociation(cidr)
		changed := *vpc
		changed.Vpc.CidrBlockAssociationSet = slices.Concat(vpc.Vpc.CidrBlockAssociationSet, []api.VpcCidrBlockAssociation{association})
		c.putVpc(&changed)
		return c.editTables(req.VpcId, func(routes []api.Route) []api.Route {
			return slices.Concat([]api.Route{localRoute(cidr)}, routes)
		})
	})
	if err != nil {
		return nil, 0, err
	}
	association.CidrBlockState = &api.VpcCidrBlockState{State: api.VpcCidrBlockStateCodeAssociating}
	return &api.AssociateVpcCidrBlockResult{VpcId: req.VpcId, CidrBlockAssociation: &association}, revision, nil
}

// checkNewCIDR applies the rules for a further CIDR of a VPC.
func (c *change) checkNewCIDR(vpc *record.Vpc, cidr netip.Prefix) error {
	have := vpcPrefixes(vpc)
	if err := c.checkLimit(limitCIDRs, len(vpc.Vpc.CidrBlockAssociationSet)+1); err != nil {
		return err
	}
	if other, overlap := ipam.FirstOverlap(cidr, slices.Values(have)); overlap {
		return api.Errorf("InvalidVpc.Range", "CidrBlock", "the CIDR '%s' overlaps %s of %s; use another range", cidr, other, vpc.Vpc.VpcId)
	}
	if err := c.checkPeers(vpc, cidr); err != nil {
		return err
	}
	if c.strictCIDRs {
		if err := ipam.RestrictedAssociation(have, cidr); err != nil {
			return cidrError(err, "InvalidVpc.Range")
		}
	}
	for _, table := range contentOf(c.tx.Peek(), vpc.Vpc.VpcId).tables {
		for _, route := range table.Table.Routes {
			// A local route is a CIDR of the VPC, which was compared above.
			to, err := netip.ParsePrefix(route.DestinationCidrBlock)
			if err == nil && ipam.Covers(cidr, to) {
				return api.Errorf("InvalidVpc.Range", "CidrBlock", "the CIDR '%s' is the same as or larger than the route to %s in %s; delete the route or use a smaller CIDR",
					cidr, to, table.Table.RouteTableId)
			}
		}
	}
	return nil
}

// editTables changes the routes of every table of a VPC. edit returns a new
// slice, or the same one for no change.
func (c *change) editTables(vpcID string, edit func([]api.Route) []api.Route) error {
	for _, seen := range contentOf(c.tx.Peek(), vpcID).tables {
		table, err := getTable(c.tx, c.caller, seen.Table.RouteTableId)
		if err != nil {
			return err
		}
		changed := *table
		changed.Table.Routes = edit(table.Table.Routes)
		if len(changed.Table.Routes) != len(table.Table.Routes) {
			c.tx.Put(record.Tables+table.Table.RouteTableId, &changed)
		}
	}
	return nil
}

// disassociateVpcCidrBlock takes a CIDR and its local routes away again. Codes:
// OperationNotPermitted for the primary one, InvalidCidrBlock.InUse naming the
// subnets in it, InvalidVpcCidrBlockAssociationID.NotFound.
func (s *Service) disassociateVpcCidrBlock(ctx context.Context, caller Caller, req *api.DisassociateVpcCidrBlockRequest) (*api.DisassociateVpcCidrBlockResult, int64, error) {
	var gone api.VpcCidrBlockAssociation
	var vpcID string
	revision, err := s.mutate(ctx, caller, nil, func(c *change) error {
		vpc, i, err := findCIDRAssociation(c.tx.Peek(), c.caller, req.AssociationId)
		if err != nil {
			return err
		}
		// The search above was not guarded; this read is.
		vpcID, gone = vpc.Vpc.VpcId, vpc.Vpc.CidrBlockAssociationSet[i]
		if vpc, err = getVpc(c.tx, c.caller, vpcID); err != nil {
			return err
		}
		c.guard(vpcID)
		if gone.CidrBlock == vpc.Vpc.CidrBlock {
			return api.Errorf("OperationNotPermitted", "AssociationId", "%s is the primary CIDR of %s and stays as long as the VPC; delete the VPC instead", gone.CidrBlock, vpcID)
		}
		if err := checkCIDRUnused(c.tx.Peek(), vpcID, gone.CidrBlock); err != nil {
			return err
		}
		changed := *vpc
		changed.Vpc.CidrBlockAssociationSet = slices.Delete(slices.Clone(vpc.Vpc.CidrBlockAssociationSet), i, i+1)
		c.putVpc(&changed)
		return c.editTables(vpcID, func(routes []api.Route) []api.Route {
			return slices.DeleteFunc(slices.Clone(routes), func(r api.Route) bool {
				return r.Origin == api.RouteOriginCreateRouteTable && r.DestinationCidrBlock == gone.CidrBlock
			})
		})
	})
	if err != nil {
		return nil, 0, err
	}
	gone.CidrBlockState = &api.VpcCidrBlockState{State: api.VpcCidrBlockStateCodeDisassociating}
	return &api.DisassociateVpcCidrBlockResult{VpcId: vpcID, CidrBlockAssociation: &gone}, revision, nil
}

// findCIDRAssociation returns the VPC that has this association, and where.
func findCIDRAssociation(r store.Reader, caller Caller, id string) (*record.Vpc, int, error) {
	if !wellFormed(id, cidrAssociationPrefix) {
		return nil, 0, api.Errorf("InvalidVpcCidrBlockAssociationID.Malformed", "AssociationId", "invalid id %s: the id of a CIDR association is %s and 17 digits or letters a-f", quote(id), cidrAssociationPrefix)
	}
	for _, vpc := range vpcKind.list(r, caller) {
		for i, a := range vpc.Vpc.CidrBlockAssociationSet {
			if a.AssociationId == id {
				return vpc, i, nil
			}
		}
	}
	return nil, 0, api.Errorf("InvalidVpcCidrBlockAssociationID.NotFound", "AssociationId", "the CIDR association '%s' does not exist; `vpc show` lists those of a VPC", id)
}

func checkCIDRUnused(r store.Reader, vpcID, cidr string) error {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return nil
	}
	var blockers []api.Blocker
	for _, subnet := range contentOf(r, vpcID).subnets {
		if p, err := netip.ParsePrefix(subnet.Subnet.CidrBlock); err == nil && p.Overlaps(prefix) {
			blockers = append(blockers, subnetBlocker(r, subnet))
		}
	}
	if len(blockers) == 0 {
		return nil
	}
	return &api.Error{
		Code: "InvalidCidrBlock.InUse", Field: "AssociationId", BlockedBy: blockers,
		Message: fmt.Sprintf("the vpc %s currently has a subnet within CIDR block %s: %s; delete it first", vpcID, cidr, blockerIDs(blockers)),
	}
}
