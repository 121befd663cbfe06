package cli

import (
	"fmt"
	"maps"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) plCommand() *cobra.Command {
	list := verb("list", "List prefix lists", "vpc pl list", args(0, 0),
		func(*cobra.Command, []string) error { return s.listLists() })
	show := verb("show LIST", "Show a prefix list, its entries and who uses it", "vpc pl show office", args(1, 1),
		func(_ *cobra.Command, a []string) error { return s.showList(a[0]) })
	rm := verb("rm LIST…", "Delete prefix lists", "vpc pl rm office", args(1, anyNumber),
		func(_ *cobra.Command, a []string) error { return s.remove(plNoun, a, s.deleteList) })
	s.completeArgs(show, plNoun)
	s.completeArgs(rm, plNoun)
	cmd := group("pl", "Prefix lists", "  vpc pl add office --max 10 --entry 203.0.113.0/24",
		s.plAdd(), list, show, s.plSet(), rm, s.plEntry(), s.plRestore())
	cmd.Long = "Prefix lists are CIDRs under one name, for rules of security groups in any VPC, --from pl:office,\n" +
		"and for routes. Each counts as many times as its list may have entries."
	return cmd
}

func (s *session) plAdd() *cobra.Command {
	var size int32
	var entries, tags []string
	cmd := verb("add NAME --max N", "Create a prefix list", "vpc pl add office --max 10 --entry 203.0.113.0/24 --entry 198.51.100.0/24=branch", args(1, 1),
		func(cmd *cobra.Command, a []string) error {
			if !cmd.Flags().Changed("max") {
				return usagef("vpc pl add needs --max: how many entries it may have, which is what a rule that uses it counts")
			}
			return doing("create pl "+a[0], s.addList(a[0], size, entries, tags))
		})
	cmd.Flags().Int32Var(&size, "max", 0, "how many entries it may have, 1 to 1000")
	cmd.Flags().StringArrayVar(&entries, "entry", nil, "CIDR or CIDR=DESCRIPTION, may be repeated")
	cmd.Flags().StringArrayVar(&tags, "tag", nil, "KEY=VALUE, may be repeated")
	return cmd
}

func (s *session) addList(name string, size int32, entries, pairs []string) error {
	// The name is an attribute of its own, and what no other may have.
	tags, err := nameTags(plNoun, "", pairs)
	if err != nil {
		return err
	}
	if err := s.newName(plNoun, name, ""); err != nil {
		return err
	}
	res, err := change[api.CreateManagedPrefixListResult](s, "CreateManagedPrefixList", &api.CreateManagedPrefixListRequest{
		PrefixListName: name, UniqueName: api.Ptr(true), AddressFamily: "IPv4", MaxEntries: &size, Entries: addedEntries(entries), TagSpecifications: tags})
	if err != nil {
		return err
	}
	return s.done(res, listObject(res.PrefixList), "created")
}

// addedEntries reads CIDR or CIDR=DESCRIPTION; the daemon checks both.
func addedEntries(texts []string) []api.AddPrefixListEntry {
	var out []api.AddPrefixListEntry
	for _, text := range texts {
		cidr, description, _ := strings.Cut(text, "=")
		out = append(out, api.AddPrefixListEntry{Cidr: cidr, Description: description})
	}
	return out
}

func (s *session) listLists() error {
	res, err := ask[api.DescribeManagedPrefixListsResult](s, "DescribeManagedPrefixLists", &api.DescribeManagedPrefixListsRequest{})
	if err != nil {
		return doing("list prefix lists", err)
	}
	t := &table{head: []string{"NAME", "ID", "FAMILY", "MAX", "VERSION", "STATE", "OWNER", "TAGS"}, wide: 6}
	var ids []string
	for i := range res.PrefixLists {
		l := &res.PrefixLists[i]
		ids = append(ids, l.PrefixListId)
		t.add(l.PrefixListName, l.PrefixListId, l.AddressFamily, number(l.MaxEntries), number(l.Version), l.State, l.OwnerId, tagList(l.Tags))
	}
	return s.emit(res, ids, func() { s.print(t) })
}

// showList prints entries and users for people. Programs get the list as EC2
// describes it; its entries are for `pl entry list`.
func (s *session) showList(ref string) error {
	o, err := s.scoped(plNoun, ref)
	if err != nil {
		return err
	}
	res, err := ask[api.DescribeManagedPrefixListsResult](s, "DescribeManagedPrefixLists", &api.DescribeManagedPrefixListsRequest{PrefixListIds: []string{o.id}})
	if err != nil {
		return doing("show "+o.String(), err)
	}
	if !s.human() {
		return s.emit(res, []string{o.id}, nil)
	}
	entries, err := s.entriesOf(o, nil)
	if err != nil {
		return doing("show "+o.String(), err)
	}
	users, err := s.usersOf(o)
	if err != nil {
		return doing("show "+o.String(), err)
	}
	for i := range res.PrefixLists {
		l := &res.PrefixLists[i]
		s.fields("Name", l.PrefixListName, "Id", l.PrefixListId, "Family", l.AddressFamily, "Max", number(l.MaxEntries),
			"Version", number(l.Version), "State", l.State, "Used by", users, "Owner", l.OwnerId, "Tags", tagList(l.Tags))
	}
	s.say("")
	s.printEntries(entries)
	return nil
}

// entriesOf reads the entries of one version, nil for the current one.
func (s *session) entriesOf(o object, version *int64) (*api.GetManagedPrefixListEntriesResult, error) {
	return ask[api.GetManagedPrefixListEntriesResult](s, "GetManagedPrefixListEntries",
		&api.GetManagedPrefixListEntriesRequest{PrefixListId: o.id, TargetVersion: version})
}

func (s *session) printEntries(res *api.GetManagedPrefixListEntriesResult) {
	t := &table{head: []string{"CIDR", "DESCRIPTION"}}
	for _, e := range res.Entries {
		t.add(e.Cidr, e.Description)
	}
	s.print(t)
}

// usersOf names the route tables with a route, and the groups with a rule for the
// list.
func (s *session) usersOf(o object) (string, error) {
	res, err := ask[api.GetManagedPrefixListAssociationsResult](s, "GetManagedPrefixListAssociations",
		&api.GetManagedPrefixListAssociationsRequest{PrefixListId: o.id})
	if err != nil {
		return "", err
	}
	names := s.names(sgNoun)
	maps.Copy(names, s.names(rtNoun))
	var out []string
	for _, a := range res.PrefixListAssociations {
		out = append(out, firstOf(names[a.ResourceId], a.ResourceId))
	}
	return strings.Join(out, ","), nil
}

func (s *session) deleteList(o object) (any, error) {
	return change[api.DeleteManagedPrefixListResult](s, "DeleteManagedPrefixList", &api.DeleteManagedPrefixListRequest{PrefixListId: o.id})
}

// modifyList does all that a request says of a list, or nothing.
func (s *session) modifyList(o object, req *api.ModifyManagedPrefixListRequest) (*api.ModifyManagedPrefixListResult, error) {
	req.PrefixListId = o.id
	return change[api.ModifyManagedPrefixListResult](s, "ModifyManagedPrefixList", req)
}

func (s *session) plSet() *cobra.Command {
	var name string
	var size int32
	cmd := verb("set LIST", "Change the name or the size of a prefix list", "vpc pl set office --max 20\nvpc pl set office --name head-office", args(1, 1),
		func(cmd *cobra.Command, a []string) error {
			o, err := s.scoped(plNoun, a[0])
			if err != nil {
				return err
			}
			req := &api.ModifyManagedPrefixListRequest{}
			if cmd.Flags().Changed("max") {
				req.MaxEntries = &size
			}
			if cmd.Flags().Changed("name") {
				if req.PrefixListName, req.UniqueName = name, api.Ptr(true); name != o.name {
					if err := s.newName(plNoun, name, ""); err != nil {
						return doing("set "+o.String(), err)
					}
				}
			} else if req.MaxEntries == nil {
				return usagef("nothing to set on %s: name what should change", o)
			}
			res, err := s.modifyList(o, req)
			if err != nil {
				return doing("set "+o.String(), err)
			}
			return s.done(res, o, "changed")
		})
	cmd.Flags().StringVar(&name, "name", "", "new name")
	cmd.Flags().Int32Var(&size, "max", 0, "how many entries it may have, 1 to 1000")
	s.completeArgs(cmd, plNoun)
	return cmd
}

func (s *session) plEntry() *cobra.Command {
	add := verb("add LIST CIDR[=DESCRIPTION]…", "Add entries, which makes a new version of the list",
		"vpc pl entry add office 198.51.100.0/24=branch 192.0.2.0/24", args(2, anyNumber),
		func(_ *cobra.Command, a []string) error {
			return s.editEntries(a[0], &api.ModifyManagedPrefixListRequest{AddEntries: addedEntries(a[1:])})
		})
	rm := verb("rm LIST CIDR…", "Remove entries, which makes a new version of the list", "vpc pl entry rm office 198.51.100.0/24", args(2, anyNumber),
		func(_ *cobra.Command, a []string) error {
			req := &api.ModifyManagedPrefixListRequest{}
			for _, cidr := range a[1:] {
				req.RemoveEntries = append(req.RemoveEntries, api.RemovePrefixListEntry{Cidr: cidr})
			}
			return s.editEntries(a[0], req)
		})
	var version int64
	list := verb("list LIST", "List the entries of a prefix list", "vpc pl entry list office\nvpc pl entry list office --version 1", args(1, 1),
		func(cmd *cobra.Command, a []string) error {
			var target *int64
			if cmd.Flags().Changed("version") {
				target = &version
			}
			return s.listEntries(a[0], target)
		})
	list.Flags().Int64Var(&version, "version", 0, "an older version (default: the current one)")
	for _, cmd := range []*cobra.Command{add, list, rm} {
		s.completeArgs(cmd, plNoun)
	}
	return group("entry", "Entries of a prefix list", "  vpc pl entry add office 198.51.100.0/24=branch", add, list, rm)
}

// editEntries makes the next version of a list, whichever the current one is:
// the change is of entries that it names.
func (s *session) editEntries(ref string, req *api.ModifyManagedPrefixListRequest) error {
	o, err := s.scoped(plNoun, ref)
	if err != nil {
		return err
	}
	res, err := s.modifyList(o, req)
	if err != nil {
		return doing("change the entries of "+o.String(), err)
	}
	return s.done(res, o, "is at version "+number(res.PrefixList.Version))
}

func (s *session) listEntries(ref string, version *int64) error {
	o, err := s.scoped(plNoun, ref)
	if err != nil {
		return err
	}
	res, err := s.entriesOf(o, version)
	if err != nil {
		return doing("list the entries of "+o.String(), err)
	}
	var ids []string
	for _, e := range res.Entries {
		ids = append(ids, e.Cidr)
	}
	return s.emit(res, ids, func() { s.printEntries(res) })
}

func (s *session) plRestore() *cobra.Command {
	var version int64
	cmd := verb("restore LIST --version N", "Make a new version with the entries of an older one", "vpc pl restore office --version 1", args(1, 1),
		func(cmd *cobra.Command, a []string) error {
			if !cmd.Flags().Changed("version") {
				return usagef("vpc pl restore needs --version")
			}
			o, err := s.scoped(plNoun, a[0])
			if err != nil {
				return err
			}
			return doing(fmt.Sprintf("restore version %d of %s", version, o), s.restoreList(o, version))
		})
	cmd.Flags().Int64Var(&version, "version", 0, "the version whose entries come back")
	s.completeArgs(cmd, plNoun)
	return cmd
}

// restoreList names the version it has seen: restoring undoes what came after,
// and that must not be somebody else's newest change.
func (s *session) restoreList(o object, version int64) error {
	seen, err := ask[api.DescribeManagedPrefixListsResult](s, "DescribeManagedPrefixLists", &api.DescribeManagedPrefixListsRequest{PrefixListIds: []string{o.id}})
	if err != nil {
		return err
	}
	var current *int64
	for _, l := range seen.PrefixLists {
		current = l.Version
	}
	res, err := change[api.RestoreManagedPrefixListVersionResult](s, "RestoreManagedPrefixListVersion", &api.RestoreManagedPrefixListVersionRequest{
		PrefixListId: o.id, PreviousVersion: &version, CurrentVersion: current})
	if err != nil {
		return err
	}
	return s.done(res, o, "is at version "+number(res.PrefixList.Version)+", with the entries of "+number(&version))
}
