package cli

import (
	"net/netip"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// idLike is what reads as an id, or as the beginning of one.
var idLike = regexp.MustCompile(`^(vpc|subnet|eni|sg|sgr|rtb|acl|i|igw|eigw|nat|eipalloc|pcx|pl|eni-attach|vpc-cidr-assoc)-[0-9a-f]+$`)

// checkName refuses a name that could not be told from something else, in a
// reference, a rule, a list or on the screen. Tags set as tags are free.
func checkName(name string) error {
	const field = "NAME"
	switch {
	case name == "":
		return refusef(field, "a name must not be empty")
	case !utf8.ValidString(name):
		return refusef(field, "the name %q is not UTF-8", name)
	case strings.ContainsFunc(name, unprintable):
		return refusef(field, "the name %s has characters that do not print", name)
	case strings.ContainsAny(name, ":,"):
		return refusef(field, "the name %s contains a colon or a comma, which separate things in references and lists", name)
	case strings.HasPrefix(name, "-"):
		return refusef(field, "the name %s would be taken for a flag", name)
	case strings.TrimSpace(name) != name:
		return refusef(field, "the name %q begins or ends with a space", name)
	case idLike.MatchString(name):
		return refusef(field, "the name %s looks like an id", name)
	case isAddress(name):
		e := refusef(field, "the name %s is an address, and would be taken for one", name)
		explain(e).Hint = "another name; where an address is meant, --address or --cidr takes it"
		return e
	}
	return nil
}

// isAddress holds for CIDRs, too.
func isAddress(name string) bool {
	_, notOne := netip.ParseAddr(name)
	_, notMany := netip.ParsePrefix(name)
	return notOne == nil || notMany == nil
}

// unprintable holds for spaces other than the plain one, too.
func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// newName checks a name for a new object, or a new one for an old object: no
// other of that noun in that VPC may have it. vpcID is empty for VPCs. The
// daemon checks again with what it writes, for somebody may be as quick; asking
// first also finds what carries the name in another way, and names it.
func (s *session) newName(n *noun, name, vpcID string) error {
	if err := checkName(name); err != nil {
		return err
	}
	same, err := s.named(n, name, vpcID)
	if err != nil {
		return err
	}
	if len(same) == 0 {
		return nil
	}
	return &failure{exit: api.ExitConflict, refusal: api.Error{
		Code: n.code + ".Duplicate", Message: "there is already one of that name", BlockedBy: blockers(same),
		Hint: "another name"}}
}

// nameTags is the tag specification of a new object: its name, which no other
// may have, and --tag values.
func nameTags(n *noun, name string, pairs []string) ([]api.TagSpecification, error) {
	tags, err := parseTags(pairs)
	if err != nil {
		return nil, err
	}
	if name != "" {
		tags = append([]api.Tag{{Key: "Name", Value: name}}, tags...)
	}
	if len(tags) == 0 {
		return nil, nil
	}
	spec := api.TagSpecification{ResourceType: n.resource, Tags: tags}
	if name != "" {
		spec.UniqueName = api.Ptr(true)
	}
	return []api.TagSpecification{spec}, nil
}

// parseTags reads KEY=VALUE arguments.
func parseTags(pairs []string) ([]api.Tag, error) {
	var tags []api.Tag
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, usagef("%q is not a tag: want KEY=VALUE", pair)
		}
		tags = append(tags, api.Tag{Key: key, Value: value})
	}
	return tags, nil
}

func tagValue(tags []api.Tag, key string) string {
	for _, t := range tags {
		if t.Key == key {
			return t.Value
		}
	}
	return ""
}

func nameOf(tags []api.Tag) string { return tagValue(tags, "Name") }

// tagList is the tags in one cell, the name left out.
func tagList(tags []api.Tag) string {
	var out []string
	for _, t := range tags {
		if t.Key != "Name" {
			out = append(out, t.Key+"="+t.Value)
		}
	}
	return strings.Join(out, ",")
}

// rename sets the Name tag of an object.
func (s *session) rename(n *noun, o object, name string) error {
	if n == sgNoun {
		return refusef("--name", "a security group keeps the name it was made with")
	}
	if name != o.name {
		if err := s.newName(n, name, o.vpc); err != nil {
			return err
		}
	}
	_, err := change[api.CreateTagsResult](s, "CreateTags", &api.CreateTagsRequest{
		Resources: []string{o.id}, Tags: []api.Tag{{Key: "Name", Value: name}}, UniqueName: api.Ptr(true)})
	return err
}
