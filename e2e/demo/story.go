package main

// Workloads of the story. Addresses of the two VPCs overlap on purpose.
var (
	web1    = workload{name: "web1", vpc: "prod", subnet: "web", addr: "10.0.1.10"}
	web2    = workload{name: "web2", vpc: "prod", subnet: "web", addr: "10.0.1.11"}
	db1     = workload{name: "db1", vpc: "prod", subnet: "db", addr: "10.0.2.20"}
	devWeb1 = workload{name: "dev-web1", vpc: "dev", subnet: "web", addr: "10.0.1.10"}
	devDB1  = workload{name: "dev-db1", vpc: "dev", subnet: "db", addr: "10.0.2.20"}
	devDB2  = workload{name: "dev-db2", vpc: "dev", subnet: "db", addr: "10.0.2.99"}

	app1 = workload{name: "app1", vpc: "prod", subnet: "web", addr: "10.0.1.30", container: true}
	app2 = workload{name: "app2", vpc: "prod", subnet: "db", addr: "10.0.2.30", container: true}
)

// show is the demonstration, step by step.
func (w *world) show() error {
	for _, step := range []struct {
		title string
		do    func() error
	}{
		{"A laptop with an uplink to a world, both in namespaces", w.makeLaptop},
		{"A daemon with its embedded store, on the laptop", w.startDaemon},
		{"Two VPCs with the same CIDR, two subnets each", w.makeVPCs},
		{"Plain network namespaces as workloads", w.attachNamespaces},
		{"Containers of the Docker engine", w.attachContainers},
		{"Inside a VPC everything passes by default", w.insidePasses},
		{"Between the VPCs nothing passes", w.betweenBlocked},
		{"A security group opens tcp/8080 for one group only", w.groupOpens},
		{"Revoking closes it for new connections", w.revokeCloses},
		{"Another VPC with three tiers: public, private, isolated", w.makeTiers},
		{"A web server, an application behind a NAT gateway, a database", w.attachTiers},
		{"The web server is public: it reaches the world and is reached", w.webIsPublic},
		{"The application reaches the world and is not reached, though its group lets everybody in", w.appIsPrivate},
		{"The database is the application's only, and reaches nothing outside", w.dbIsIsolated},
		{"Store, plan and kernel agree", w.agree},
	} {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		w.title(step.title)
		if err := step.do(); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) makeVPCs() error {
	return w.vpc(
		"create prod --cidr 10.0.0.0/16",
		"create dev --cidr 10.0.0.0/16",
		"subnet add web --vpc prod --cidr 10.0.1.0/24",
		"subnet add db --vpc prod --cidr 10.0.2.0/24",
		"subnet add web --vpc dev --cidr 10.0.1.0/24",
		"subnet add db --vpc dev --cidr 10.0.2.0/24",
	)
}

func (w *world) attachNamespaces() error {
	for _, l := range []workload{web1, web2, db1, devWeb1, devDB1, devDB2} {
		if err := w.attach(l); err != nil {
			return err
		}
	}
	return w.vpc("tree")
}

// attachContainers leaves them out where there is no engine.
func (w *world) attachContainers() error {
	if reason := w.prepareDocker(); reason != "" {
		w.say("left out: " + reason)
		return nil
	}
	for _, l := range []workload{app1, app2} {
		if err := w.attach(l); err != nil {
			return err
		}
	}
	return w.vpc("eni list --vpc prod")
}

func (w *world) insidePasses() error {
	w.expect("same subnet", passes, w.ping(web1, web2))
	w.expect("across subnets", passes, w.ping(web1, db1))
	w.expect("across subnets", passes, w.connect(web1, db1))
	w.expect("same subnet, the other VPC's", passes, w.ping(devDB1, devDB2))
	w.expect("across subnets, the other VPC's", passes, w.connect(devWeb1, devDB1))
	if w.docker == "" {
		return nil
	}
	w.expect("container and namespace, same subnet", passes, w.ping(app1, web1))
	w.expect("container and namespace, across subnets", passes, w.connect(app1, db1))
	w.expect("container and container, across subnets", passes, w.connect(app1, app2))
	w.expect("namespace and container, across subnets", passes, w.connect(web1, app2))
	return nil
}

// betweenBlocked proves absence by watching every other namespace: that nobody
// answers would prove less. The same address means one's own VPC.
func (w *world) betweenBlocked() error {
	for _, try := range []struct{ from, to, control workload }{{web1, devDB2, web2}, {devWeb1, web2, devDB1}} {
		got, err := w.overhear(try.from, try.to, try.control)
		if err != nil {
			return err
		}
		w.expect("to an address that only the other VPC has", blocked, got)
	}
	for _, try := range []struct{ from, to, not workload }{{web1, db1, devDB1}, {devWeb1, devDB1, db1}} {
		got, err := w.arrivesOnlyAt(try.from, try.to, try.not)
		if err != nil {
			return err
		}
		w.expect("to an address that both VPCs have", passes, got)
	}
	return w.vpc("drops")
}

func (w *world) groupOpens() error {
	err := w.vpc(
		"sg add app --vpc prod",
		"sg add store --vpc prod",
		"sg allow store --vpc prod --in tcp/8080 --from sg:app",
		"eni set netns:"+w.name(db1)+" --vpc prod --sg store",
		"eni set netns:"+w.name(web1)+" --vpc prod --sg app",
	)
	if err != nil {
		return err
	}
	w.expect("group app may", passes, w.connect(web1, db1))
	w.expect("group default may not", blocked, w.connect(web2, db1))
	w.expect("group app may nothing else", blocked, w.ping(web1, db1))
	if w.docker != "" {
		w.expect("group default may not, a container", blocked, w.connect(app1, db1))
		if err := w.vpc("eni set docker:" + w.name(app1) + " --vpc prod --sg app"); err != nil {
			return err
		}
		w.expect("group app may, a container", passes, w.connect(app1, db1))
	}
	return nil
}

func (w *world) revokeCloses() error {
	if err := w.vpc("sg revoke store --vpc prod --in tcp/8080 --from sg:app"); err != nil {
		return err
	}
	w.expect("group app may no more", blocked, w.connect(web1, db1))
	if w.docker != "" {
		w.expect("group app may no more, a container", blocked, w.connect(app1, db1))
	}
	return w.vpc("drops")
}

func (w *world) agree() error { return w.vpc("verify", "status") }
