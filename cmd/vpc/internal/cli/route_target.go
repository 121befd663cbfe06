package cli

import (
	"fmt"
	"maps"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// Targets that a route can name, by the word before the colon.
const (
	toGateway   = "igw"
	toNat       = "nat"
	toEni       = "eni"
	toInstance  = "i"
	toPeering   = "pcx"
	toLocal     = "local"
	toBlackhole = "blackhole"
	// wantTarget says what --to takes for a new route; a route that there is can
	// also become local again.
	wantTarget        = "igw:NAME, nat:NAME, eni:NAME, pcx:NAME"
	wantTargetOrLocal = wantTarget + ", or local"
)

// target is where a route leads: exactly one is set.
type target struct {
	gateway, nat, eni, instance, peering string
	local                                bool
}

// laterTargets are EC2's targets that are not built.
var laterTargets = map[string]string{"eigw": "egress-only internet gateways",
	"tgw": "transit gateways", "vpce": "endpoints", "vgw": "virtual private gateways"}

// targetWords begin the values of --to that name an object.
func targetWords() []string {
	return []string{toGateway + ":", toNat + ":", toEni + ":", toPeering + ":"}
}

// target reads --to in the VPC of the table: igw:NAME and the like, an id alone,
// or local.
func (s *session) target(text, vpcID string) (target, error) {
	kind, ref, _ := strings.Cut(text, ":")
	if ref == "" && strings.Contains(text, "-") {
		kind, ref = text[:strings.IndexByte(text, '-')], text
	}
	switch {
	case text == "":
		return target{}, usagef("--to what? %s", wantTarget)
	case text == toLocal:
		return target{local: true}, nil
	case text == toBlackhole:
		e := refusef("--to", "a route cannot be made a blackhole: it becomes one when its target is gone")
		explain(e).Hint = "remove the route, or deny the traffic with vpc acl rule add"
		return target{}, e
	case laterTargets[kind] != "":
		return target{}, &failure{exit: api.ExitRefused, refusal: api.Error{Code: "UnsupportedOperation", Field: "--to",
			Message: fmt.Sprintf("%s: routes to %s are not built yet", text, laterTargets[kind])}}
	case ref == "":
		return target{}, usagef("--to %s: want %s", text, wantTarget)
	}
	t, err := s.namedTarget(kind, ref, text, vpcID)
	return t, noTarget(kind, err)
}

// noTarget names the flag in the refusal of a target that is not there. For routes
// EC2 has codes of its own.
func noTarget(kind string, err error) error {
	if err == nil || explain(err).exit != api.ExitNotFound {
		return err
	}
	f := explain(err)
	f.Field = "--to"
	switch kind {
	case toGateway:
		f.Code = "InvalidGatewayID.NotFound"
	case toNat:
		f.Code = "InvalidNatGatewayID.NotFound"
	}
	if f.Hint == "" {
		f.Hint = "vpc " + kind + " list"
	}
	return f
}

// namedTarget finds what stands behind the colon. An instance has no name here:
// its ENI has one.
func (s *session) namedTarget(kind, ref, text, vpcID string) (target, error) {
	var o object
	var err error
	switch kind {
	case toGateway:
		o, err = s.resolve(igwNoun, ref, vpcID)
		return target{gateway: o.id}, err
	case toNat:
		o, err = s.resolve(natNoun, ref, vpcID)
		return target{nat: o.id}, err
	case toEni:
		o, err = s.resolve(eniNoun, ref, vpcID)
		return target{eni: o.id}, err
	case toPeering:
		o, err = s.resolve(pcxNoun, ref, "")
		return target{peering: o.id}, err
	case toInstance:
		return target{instance: ref}, nil
	}
	return target{}, usagef("--to %s: want %s", text, wantTarget)
}

// routeTarget is a target as it is typed, an object by its name where it is known.
func routeTarget(r *api.Route, names map[string]string) string {
	for _, t := range []struct{ word, id string }{{toGateway, r.GatewayId}, {toNat, r.NatGatewayId}, {toEni, r.NetworkInterfaceId}, {toPeering, r.VpcPeeringConnectionId}} {
		if name := names[t.id]; name != "" {
			return t.word + ":" + name
		}
	}
	return firstOf(r.GatewayId, r.NatGatewayId, r.NetworkInterfaceId, r.InstanceId, r.VpcPeeringConnectionId, r.EgressOnlyInternetGatewayId)
}

// targetNames maps what routes can lead to, by id.
func (s *session) targetNames() map[string]string {
	out := s.names(igwNoun)
	maps.Copy(out, s.names(natNoun))
	maps.Copy(out, s.names(eniNoun))
	maps.Copy(out, s.names(pcxNoun))
	return out
}
