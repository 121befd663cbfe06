package store

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// writeUntilKilled is the child of TestKilledWriterLosesNothing: it prints each
// number after its transaction has been acknowledged.
func writeUntilKilled(dir string) {
	s, err := Open(context.Background(), Config{Dir: dir, Decode: decodeCounter})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for n := 0; ; n++ {
		_, err := s.Update(context.Background(), func(tx *Tx) error {
			tx.Put(fmt.Sprintf("%sa/%06d", Prefix, n), counter{n})
			tx.Put(fmt.Sprintf("%sb/%06d", Prefix, n), counter{n})
			return nil
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}

func TestKilledWriterLosesNothing(t *testing.T) {
	for round := range 3 {
		dir := t.TempDir()
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "STORE_TEST_WRITER="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		acked := -1
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if _, err := fmt.Sscan(lines.Text(), &acked); err != nil {
				t.Fatalf("child said %q", lines.Text())
			}
			if acked == 40+30*round {
				child.Process.Kill() // the pipe is read to its end all the same
			}
		}
		child.Wait()
		if acked < 40 {
			t.Fatalf("the child ended after %d", acked)
		}
		s := open(t, Config{Dir: dir})
		for n := range acked + 1 {
			_, a := Get[*counter](s.Snapshot(), fmt.Sprintf("%sa/%06d", Prefix, n))
			_, b := Get[*counter](s.Snapshot(), fmt.Sprintf("%sb/%06d", Prefix, n))
			if !a || !b {
				t.Errorf("round %d: %d was acknowledged and is gone (%v, %v)", round, n, a, b)
			}
		}
		s.Close()
	}
}
