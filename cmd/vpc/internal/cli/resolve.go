package cli

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// idDigits is the length of an id behind its prefix.
const idDigits = 17

var hexDigits = regexp.MustCompile(`^[0-9a-f]*$`)

// resolve finds the one object a reference means: an id, the unambiguous
// beginning of one, a workload for its ENI, an elastic IP itself, or a name, in a VPC when vpcID is
// not empty.
func (s *session) resolve(n *noun, ref, vpcID string) (object, error) {
	if ref == "" {
		return object{}, refusef(strings.ToUpper(n.word), "a reference to a %s must not be empty", n.word)
	}
	if n.anywhere {
		vpcID = ""
	}
	var hits []object
	var err error
	digits, isID := strings.CutPrefix(ref, n.prefix)
	switch {
	case isID && hexDigits.MatchString(digits) && len(digits) >= idDigits:
		// The daemon knows best how to say that it is malformed or not there.
		hits, err = n.find(s, []string{ref}, nil)
	case isID && hexDigits.MatchString(digits):
		hits, err = n.find(s, nil, []api.Filter{{Name: n.idFilter, Values: []string{ref + "*"}}})
	case n == eniNoun && isTarget(ref):
		hits, err = s.interfacesOf(ref)
	case n == eipNoun && elasticFilter(ref) != nil:
		hits, err = n.find(s, nil, elasticFilter(ref))
	default:
		hits, err = s.named(n, ref, vpcID)
	}
	if err != nil {
		return object{}, doing(fmt.Sprintf("find %s %s", n.word, ref), err)
	}
	switch len(hits) {
	case 1:
		return hits[0], nil
	case 0:
		return object{}, s.notFound(n, ref, vpcID)
	}
	return object{}, &failure{exit: api.ExitConflict, refusal: api.Error{
		Code:      n.code + ".Ambiguous",
		Message:   fmt.Sprintf("%s could mean %d objects of kind %s", ref, len(hits), n.word),
		BlockedBy: blockers(hits), Hint: "one of these ids, or --vpc"}}
}

// notFound answers as the daemon does for an id, and says where to look.
func (s *session) notFound(n *noun, ref, vpcID string) error {
	message := fmt.Sprintf("there is no %s %s", n.word, ref)
	if vpcID != "" {
		message += " in " + vpcID
	}
	return &failure{exit: api.ExitNotFound, refusal: api.Error{
		Code: n.code + ".NotFound", Message: message, Hint: n.list}}
}

// named lists the objects of exactly that name.
func (s *session) named(n *noun, name, vpcID string) ([]object, error) {
	filters := []api.Filter{{Name: n.nameFilter, Values: []string{literal(name)}}}
	if n == aclNoun && name == defaultAcl {
		filters = []api.Filter{{Name: "default", Values: []string{"true"}}}
	}
	if n == rtNoun && name == mainTable {
		filters = append([]api.Filter{{Name: "association.main", Values: []string{"true"}}}, filters[1:]...)
	}
	if vpcID != "" && !n.anywhere {
		filters = append(filters, inVpc(vpcID)...)
	}
	found, err := n.find(s, nil, filters)
	if err != nil {
		return nil, err
	}
	var hits []object
	for _, o := range found {
		if o.name == name {
			hits = append(hits, o)
		}
	}
	return hits, nil
}

// literal takes the meaning from the wildcards of a filter value.
func literal(value string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`).Replace(value)
}

func inVpc(vpcID string) []api.Filter {
	return []api.Filter{{Name: "vpc-id", Values: []string{vpcID}}}
}

// resolveAll resolves a list of references, in order.
func (s *session) resolveAll(n *noun, refs []string, vpcID string) (ids []string, err error) {
	for _, ref := range refs {
		o, err := s.resolve(n, ref, vpcID)
		if err != nil {
			return nil, err
		}
		ids = append(ids, o.id)
	}
	return ids, nil
}

// scopeID is the id of the VPC that --vpc or VPC_VPC names, empty without one.
func (s *session) scopeID() (string, error) {
	if s.vpc == "" {
		return "", nil
	}
	if s.scope == nil {
		o, err := s.resolve(vpcNoun, s.vpc, "")
		if err != nil {
			return "", err
		}
		s.scope = &o
	}
	return s.scope.id, nil
}

// needScope is scopeID for a command that cannot do without.
func (s *session) needScope() (object, error) {
	if s.vpc == "" {
		return object{}, usagef("which VPC? name it with --vpc or VPC_VPC")
	}
	if _, err := s.scopeID(); err != nil {
		return object{}, err
	}
	return *s.scope, nil
}

// scopeFilters limits a listing to the VPC of --vpc.
func (s *session) scopeFilters() ([]api.Filter, error) {
	id, err := s.scopeID()
	if err != nil || id == "" {
		return nil, err
	}
	return inVpc(id), nil
}

// scoped resolves a reference in the VPC of --vpc, if there is one.
func (s *session) scoped(n *noun, ref string) (object, error) {
	vpcID, err := s.scopeID()
	if err != nil {
		return object{}, err
	}
	return s.resolve(n, ref, vpcID)
}

// names maps the ids of one noun to names, for the columns that refer to them.
// It is best effort: a listing without the names is better than none.
func (s *session) names(n *noun) map[string]string {
	out := map[string]string{}
	if !s.human() {
		return out
	}
	found, err := n.find(s, nil, nil)
	if err != nil {
		return out
	}
	for _, o := range found {
		out[o.id] = o.name
	}
	return out
}

// blockers lists objects under an error.
func blockers(hits []object) []api.Blocker {
	var out []api.Blocker
	for _, o := range hits {
		b := api.Blocker{Kind: o.kind, Id: o.id, Name: o.name}
		if o.kind != "vpc" && o.vpc != "" {
			b.Detail = o.id + " in " + o.vpc
		}
		out = append(out, b)
	}
	return out
}
