package main

import (
	"fmt"
	"net/netip"

	"github.com/vpcfabric/vpc/e2e/netns"
	"github.com/vpcfabric/vpc/e2e/uplink"
)

// What is outside: the host that vpcd runs on, and what that is connected to.
var (
	laptop  = workload{name: "laptop", addr: uplink.Laptop.String()}
	outside = workload{name: "world", addr: uplink.World.String()}
)

// The three tiers. Their VPC has the CIDR of the two others.
const (
	wwwPublic = "198.18.0.10"
	natPublic = "198.18.0.20"
)

var (
	www = workload{name: "www", vpc: "shop", subnet: "public", addr: "10.0.1.10", flags: "--name www --sg www"}
	app = workload{name: "app", vpc: "shop", subnet: "private", addr: "10.0.2.10", flags: "--name app --sg app"}
	db  = workload{name: "db", vpc: "shop", subnet: "isolated", addr: "10.0.3.10", flags: "--name db --sg db"}
)

// makeLaptop lets the world send everything of ours to the laptop, also what it
// has no business with: a route that is missing there would prove nothing.
func (w *world) makeLaptop() error {
	for _, l := range []workload{laptop, outside} {
		if err := w.addSpace(l); err != nil {
			return err
		}
	}
	err := uplink.Connect(w.name(laptop), w.name(outside), netip.MustParsePrefix("198.18.0.0/24"), netip.MustParsePrefix("10.0.0.0/16"))
	if err != nil {
		return err
	}
	w.say(fmt.Sprintf("%s has %s and the default route to %s, which has a server at %s", w.name(laptop), laptop.addr, w.name(outside), outside.addr))
	w.links[laptop.name], err = w.linksOf(laptop)
	return err
}

func (w *world) linksOf(l workload) (names []string, err error) {
	err = netns.Do(w.name(l), func() (err error) { names, err = linkNames(); return err })
	return names, err
}

func (w *world) makeTiers() error {
	return w.vpc(
		"create shop --cidr 10.0.0.0/16",
		"subnet add public --vpc shop --cidr 10.0.1.0/24",
		"subnet add private --vpc shop --cidr 10.0.2.0/24",
		"subnet add isolated --vpc shop --cidr 10.0.3.0/24",
		"igw add shop --vpc shop",
		"rt add public --vpc shop",
		"rt associate public --vpc shop --subnet public",
		"route add public 0.0.0.0/0 --to igw:shop",
		"eip allocate --address "+natPublic,
		"nat add egress --vpc shop --subnet public --eip "+natPublic,
		"rt add private --vpc shop",
		"rt associate private --vpc shop --subnet private",
		"route add private 0.0.0.0/0 --to nat:egress",
	)
}

func (w *world) attachTiers() error {
	err := w.vpc(
		"sg add www --vpc shop",
		"sg allow www --vpc shop --in tcp/8080-8081 --from 0.0.0.0/0",
		"sg allow www --vpc shop --in icmp --from 0.0.0.0/0",
		"sg add app --vpc shop",
		"sg allow app --vpc shop --in all --from 0.0.0.0/0",
		"sg add db --vpc shop",
		"sg allow db --vpc shop --in tcp/8080 --from sg:app",
	)
	if err != nil {
		return err
	}
	for _, l := range []workload{www, app, db} {
		if err := w.attach(l); err != nil {
			return err
		}
	}
	return w.vpc(
		"eip allocate --address "+wwwPublic,
		"eip associate "+wwwPublic+" --eni www",
		"tree shop",
	)
}

func (w *world) webIsPublic() error {
	w.expect("the world reaches its elastic IP", passes, w.connect(outside, www.at(wwwPublic)))
	w.expect("so does the host itself", passes, w.connect(laptop, www.at(wwwPublic)))
	w.expect("it reaches the world", passes, w.connect(www, outside))
	w.expect("it reaches the application", passes, w.connect(www, app))
	return w.unseen(
		attempt{"its private address is no way in", outside, www, www.at(wwwPublic), []workload{laptop}},
	)
}

func (w *world) appIsPrivate() error {
	w.expect("by the NAT gateway to the world", passes, w.connect(app, outside))
	w.expect("behind the host's address", laptop.addr, w.seenAs(app, outside))
	w.expect("behind the gateway's elastic IP", natPublic, w.seenAs(app, www.at(wwwPublic)))
	return w.unseen(
		attempt{"the gateway's address lets nobody in", outside, app.at(natPublic), www.at(wwwPublic), []workload{laptop}},
		attempt{"nor does the private address", outside, app, www.at(wwwPublic), []workload{laptop}},
		attempt{"not for the host either", laptop, app, www.at(wwwPublic), []workload{outside}},
	)
}

func (w *world) dbIsIsolated() error {
	w.expect("group app may", passes, w.connect(app, db))
	err := w.unseen(
		attempt{"group www may not", www, db, app, nil},
		attempt{"it has no route to the world", db, outside, app, nil},
		attempt{"nor to public addresses", db, www.at(wwwPublic), app, nil},
		attempt{"the world does not reach it", outside, db, www.at(wwwPublic), []workload{laptop}},
	)
	if err != nil {
		return err
	}
	return w.vpc("drops")
}

// attempt is at a connection that must not come about, beside a control that must.
type attempt struct {
	why               string
	from, to, control workload
	way               []workload // who sees it before it is dropped
}

func (w *world) unseen(attempts ...attempt) error {
	for _, a := range attempts {
		got, err := w.refused(a.from, a.to, a.control, a.way...)
		if err != nil {
			return err
		}
		w.expect(a.why, blocked, got)
	}
	return nil
}
