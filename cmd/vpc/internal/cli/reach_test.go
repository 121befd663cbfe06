package cli

import (
	"strings"
	"testing"
)

// TestReach: what is said of subnets that a gateway can be reached from.
func TestReach(t *testing.T) {
	b := newBench(t)
	b.world()
	golden(t, "reach", b.story(
		"igw add main --vpc prod",
		"rt add outer --vpc prod",
		"route add outer 0.0.0.0/0 --to igw:main",
		"route rm outer 0.0.0.0/0",
		"rt associate outer --subnet web",
		"tree prod",
		"route add outer 198.51.100.0/24 --to igw:main",
		"route add outer 0.0.0.0/0 --to igw:main",
		"rt show outer",
		"tree prod",
	))
}

// TestUnreachable: a default route by a gateway is warned of where nothing could
// use it, and only there.
func TestUnreachable(t *testing.T) {
	for name, row := range map[string]struct {
		before []string
		warns  bool
	}{
		"nothing public":     {nil, true},
		"an elastic IP":      {[]string{"eip allocate www", "eip associate www --eni web1"}, false},
		"a public subnet":    {[]string{"subnet set web --public"}, false},
		"a subnet of others": {[]string{"rt add own --vpc prod", "rt associate own --subnet web"}, false},
		"public elsewhere":   {[]string{"subnet add db --vpc prod --cidr 10.0.2.0/24 --public"}, true},
	} {
		b := newBench(t)
		b.world()
		b.ok("igw add main --vpc prod")
		for _, line := range row.before {
			b.ok(line)
		}
		got := b.run("route add main 0.0.0.0/0 --to igw:main --vpc prod -o json")
		if warns := strings.HasPrefix(got.errOut, "warning: nothing in subnet web has"); got.code != 0 || warns != row.warns || !warns && got.errOut != "" || strings.Contains(got.out, "warning") {
			t.Errorf("%s: exit %d, %q, %q", name, got.code, got.out, got.errOut)
		}
	}
}
