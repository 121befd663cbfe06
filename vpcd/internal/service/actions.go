package service

import (
	"context"
	"log/slog"
	"maps"
	"reflect"
	"runtime/debug"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// Handler runs one action. request is what api.Action.NewRequest made, result
// what NewResult makes. revision is that of the commit, or of the snapshot
// that was read. Every error is an *api.Error.
type Handler func(ctx context.Context, c Caller, request any) (result any, revision int64, err error)

// action gives a typed method the shape of a Handler. The request is checked
// against the model first, so methods see required members present and enums
// valid.
func action[Req, Res any](fn func(context.Context, Caller, *Req) (*Res, int64, error)) Handler {
	return func(ctx context.Context, c Caller, request any) (any, int64, error) {
		req, ok := request.(*Req)
		if !ok || req == nil {
			return nil, 0, api.Errorf("InternalError", "", "the request is a %T, not a %T", request, new(Req))
		}
		if err := api.Check(req); err != nil {
			return nil, 0, err
		}
		res, revision, err := fn(ctx, c, req)
		if err != nil {
			return nil, 0, publicError(err)
		}
		return api.FillLists(res), revision, nil
	}
}

// contain keeps one call that hits a fault of ours from ending the daemon and
// with it everybody else's calls, and from being repeated when it made its change
// before.
func contain(name string, h Handler) Handler {
	return func(ctx context.Context, c Caller, request any) (result any, revision int64, err error) {
		ctx, did := withOutcome(ctx)
		defer func() {
			if p := recover(); p != nil {
				result, revision = nil, 0
				err = api.Errorf("InternalError", "", "%s failed: %v: please report this with the daemon's log", name, p)
				slog.Error("an action failed by a fault of its own", "action", name, "panic", p, "stack", string(debug.Stack()))
			}
			err = did.answerable(name, err)
		}()
		return h(ctx, c, request)
	}
}

// dryRead answers the DryRun of an action that only reads: allowed.
func dryRead(h Handler) Handler {
	return func(ctx context.Context, c Caller, request any) (any, int64, error) {
		result, revision, err := h(ctx, c, request)
		if err == nil && wantsDryRun(request) {
			return nil, 0, dryRunOperation()
		}
		return result, revision, err
	}
}

func wantsDryRun(request any) bool {
	f := reflect.Indirect(reflect.ValueOf(request)).FieldByName("DryRun")
	if !f.IsValid() {
		return false
	}
	dry, ok := f.Interface().(*bool)
	return ok && api.Val(dry)
}

// Handlers returns the handler of every action that is served, by name.
func (s *Service) Handlers() map[string]Handler {
	table := map[string]Handler{
		"CreateVpc":                                  action(s.createVpc),
		"DeleteVpc":                                  action(s.deleteVpc),
		"DescribeVpcs":                               action(s.describeVpcs),
		"DescribeVpcAttribute":                       action(s.describeVpcAttribute),
		"ModifyVpcAttribute":                         action(s.modifyVpcAttribute),
		"ModifyVpcOptions":                           action(s.modifyVpcOptions),
		"AssociateVpcCidrBlock":                      action(s.associateVpcCidrBlock),
		"DisassociateVpcCidrBlock":                   action(s.disassociateVpcCidrBlock),
		"CreateSubnet":                               action(s.createSubnet),
		"DeleteSubnet":                               action(s.deleteSubnet),
		"DescribeSubnets":                            action(s.describeSubnets),
		"ModifySubnetAttribute":                      action(s.modifySubnetAttribute),
		"DescribeNetworkAcls":                        action(s.describeNetworkAcls),
		"CreateNetworkAcl":                           action(s.createNetworkAcl),
		"DeleteNetworkAcl":                           action(s.deleteNetworkAcl),
		"CreateNetworkAclEntry":                      action(s.createNetworkAclEntry),
		"ReplaceNetworkAclEntry":                     action(s.replaceNetworkAclEntry),
		"DeleteNetworkAclEntry":                      action(s.deleteNetworkAclEntry),
		"ReplaceNetworkAclAssociation":               action(s.replaceNetworkAclAssociation),
		"CreateManagedPrefixList":                    action(s.createManagedPrefixList),
		"DeleteManagedPrefixList":                    action(s.deleteManagedPrefixList),
		"DescribeManagedPrefixLists":                 action(s.describeManagedPrefixLists),
		"ModifyManagedPrefixList":                    action(s.modifyManagedPrefixList),
		"GetManagedPrefixListEntries":                action(s.getManagedPrefixListEntries),
		"GetManagedPrefixListAssociations":           action(s.getManagedPrefixListAssociations),
		"RestoreManagedPrefixListVersion":            action(s.restoreManagedPrefixListVersion),
		"DescribePrefixLists":                        action(s.describePrefixLists),
		"CreateTags":                                 action(s.createTags),
		"DeleteTags":                                 action(s.deleteTags),
		"DescribeTags":                               action(s.describeTags),
		"DescribeAvailabilityZones":                  action(s.describeAvailabilityZones),
		"DescribeRegions":                            action(s.describeRegions),
		"DescribeAccountAttributes":                  action(s.describeAccountAttributes),
		"DescribeLimits":                             action(s.describeLimits),
		"ModifyLimit":                                action(s.modifyLimit),
		"CreateAccessKey":                            action(s.createAccessKey),
		"DescribeAccessKeys":                         action(s.describeAccessKeys),
		"DeleteAccessKey":                            action(s.deleteAccessKey),
		"GetEnvironment":                             action(s.getEnvironment),
		"DescribeHosts":                              action(s.describeHosts),
		"WaitApplied":                                action(s.waitApplied),
		"VerifyHost":                                 action(s.verifyHost),
		"ConfirmHost":                                action(s.confirmHost),
		"DescribeRuleHits":                           action(s.describeRuleHits),
		"GetRuleFlows":                               action(s.getRuleFlows),
		"CutFlows":                                   action(s.cutFlows),
		"DescribeDrops":                              action(s.describeDrops),
		"DescribeFlows":                              action(s.describeFlows),
		"CreateNetworkInterface":                     action(s.createNetworkInterface),
		"DeleteNetworkInterface":                     action(s.deleteNetworkInterface),
		"DescribeNetworkInterfaces":                  action(s.describeNetworkInterfaces),
		"DescribeNetworkInterfaceAttribute":          action(s.describeNetworkInterfaceAttribute),
		"DescribeNetworkInterfaceStatistics":         action(s.describeNetworkInterfaceStatistics),
		"DescribeNatGatewayStatistics":               action(s.describeNatGatewayStatistics),
		"ModifyNetworkInterfaceAttribute":            action(s.modifyNetworkInterfaceAttribute),
		"ResetNetworkInterfaceAttribute":             action(s.resetNetworkInterfaceAttribute),
		"AttachNetworkInterface":                     action(s.attachNetworkInterface),
		"DetachNetworkInterface":                     action(s.detachNetworkInterface),
		"AssignPrivateIpAddresses":                   action(s.assignPrivateIpAddresses),
		"UnassignPrivateIpAddresses":                 action(s.unassignPrivateIpAddresses),
		"AttachWorkload":                             action(s.attachWorkload),
		"DetachWorkload":                             action(s.detachWorkload),
		"DescribeInstances":                          action(s.describeInstances),
		"CreateSecurityGroup":                        action(s.createSecurityGroup),
		"DeleteSecurityGroup":                        action(s.deleteSecurityGroup),
		"DescribeSecurityGroups":                     action(s.describeSecurityGroups),
		"DescribeSecurityGroupRules":                 action(s.describeSecurityGroupRules),
		"AuthorizeSecurityGroupIngress":              action(s.authorizeSecurityGroupIngress),
		"AuthorizeSecurityGroupEgress":               action(s.authorizeSecurityGroupEgress),
		"RevokeSecurityGroupIngress":                 action(s.revokeSecurityGroupIngress),
		"RevokeSecurityGroupEgress":                  action(s.revokeSecurityGroupEgress),
		"ModifySecurityGroupRules":                   action(s.modifySecurityGroupRules),
		"UpdateSecurityGroupRuleDescriptionsIngress": action(s.updateSecurityGroupRuleDescriptionsIngress),
		"UpdateSecurityGroupRuleDescriptionsEgress":  action(s.updateSecurityGroupRuleDescriptionsEgress),
	}
	maps.Copy(table, s.routing())
	for name, h := range table {
		if !api.Actions[name].Mutates {
			h = dryRead(h)
		}
		table[name] = contain(name, h)
	}
	return table
}
