package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vpcfabric/vpc/e2e/netns"
)

// settling is how long the kernel may take to end namespaces and their links.
const settling = 10 * time.Second

// remove takes away everything the demo made, whatever became of it. It does
// not look at the context: after an interrupt there is as much to remove.
func (w *world) remove() error {
	w.title("Everything is removed")
	var errs []error
	for _, s := range w.servers {
		s.Close()
	}
	errs = append(errs, w.removeContainers())
	if w.daemon != nil {
		errs = append(errs, w.stopDaemon())
		args := []string{"cleanup", "--name", w.host, "--data-dir", w.data(), "--purge-data", "--force"}
		fmt.Fprintln(w.out, "$", w.enter(), "vpcd", strings.Join(args, " "))
		out, err := w.vpcd(args...).CombinedOutput()
		w.say(string(out))
		errs = append(errs, err, w.laptopAsBefore())
	}
	for _, ns := range w.spaces {
		errs = append(errs, netns.Delete(ns))
	}
	return errors.Join(append(errs, os.RemoveAll(w.dir))...)
}

// laptopAsBefore looks at the laptop while it is still there.
func (w *world) laptopAsBefore() error {
	now, err := w.linksOf(laptop)
	if before := w.links[laptop.name]; err == nil && !slices.Equal(now, before) {
		err = fmt.Errorf("the laptop has the links %v, and had %v", now, before)
	}
	return err
}

func (w *world) stopDaemon() error {
	w.daemon.Process.Signal(syscall.SIGTERM)
	select {
	case <-w.exited:
		return nil
	case <-time.After(settling):
		w.daemon.Process.Kill()
		<-w.exited
		return errors.New("vpcd did not stop")
	}
}

// leftovers looks at the machine itself: what is there still is a failure.
func (w *world) leftovers() error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	var left []string
	for end := time.Now().Add(settling); time.Now().Before(end); <-tick.C {
		if left = w.left(); len(left) == 0 {
			w.say("nothing is left: no namespace, link, program, container, process or file")
			return nil
		}
	}
	return fmt.Errorf("left behind: %s", strings.Join(left, ", "))
}

func (w *world) left() (left []string) {
	for _, pattern := range []string{
		filepath.Join(netns.Dir, w.host+"-*"), filepath.Join(netns.Dir, "vpc-"+w.host+"-*"),
		filepath.Join("/sys/fs/bpf/vpc", w.host), w.dir,
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return []string{err.Error()}
		}
		left = append(left, found...)
	}
	links, err := linkNames()
	if err != nil {
		return append(left, err.Error())
	}
	for _, name := range links {
		// Others come and go meanwhile; ours are called so.
		if !slices.Contains(w.links[""], name) && strings.HasPrefix(name, "vpc-") {
			left = append(left, "link "+name)
		}
	}
	if w.docker != "" {
		left = append(left, w.containers()...)
	}
	return append(left, w.processes()...)
}

// processes are those whose command line has the demo's name.
func (w *world) processes() (left []string) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range lines {
		b, err := os.ReadFile(p)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
			return []string{err.Error()}
		}
		words := strings.Split(string(b), "\x00")
		if strings.HasPrefix(filepath.Base(words[0]), "vpc") && slices.Contains(words, w.host) {
			left = append(left, "process "+strings.Join(words, " "))
		}
	}
	return left
}
