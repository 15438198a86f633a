// SPDX-License-Identifier: Apache-2.0
//
// Peers in Go, each as a program of its own that times itself: see README.md beside this folder for the protocol.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/gofrs/flock"
	"github.com/google/renameio"
)

// Versions of the two packages, set when this is built.
var flockVersion, renameioVersion = "unknown", "unknown"

func check(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// CLOCK_MONOTONIC, which every process of the machine shares.
func monotonic() int64 {
	var now syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&now)), 0)
	return now.Nano()
}

func main() {
	version := "gofrs/flock " + flockVersion
	if os.Args[1] == "renameio" {
		version = "google/renameio " + renameioVersion
	}
	fmt.Println(version+",", runtime.Version())
	var held *flock.Flock
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.SplitN(lines.Text(), " ", 4)
		size, _ := strconv.Atoi(words[1])
		count, _ := strconv.Atoi(words[2])
		path := words[3]
		var answer int64
		switch words[0] {
		case "hold", "wait":
			held = flock.New(path)
			check(held.Lock())
			answer = monotonic()
			if words[0] == "wait" {
				check(held.Unlock())
			}
		case "lock":
			start := time.Now()
			for turn := 0; turn < count; turn++ {
				lock := flock.New(path)
				check(lock.Lock())
				check(lock.Unlock())
			}
			answer = int64(time.Since(start))
		case "save":
			payload := make([]byte, size)
			start := time.Now()
			for turn := 0; turn < count; turn++ {
				check(renameio.WriteFile(path, payload, 0o600))
			}
			answer = int64(time.Since(start))
		}
		fmt.Println(answer)
	}
}
