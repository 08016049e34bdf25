// SPDX-License-Identifier: Apache-2.0

// Command hard_leaves runs what is hard to walk from its leaf on: nil (nil dereferences that are
// recovered from), deep (recursion deeper than the kernel's call chains), tls (handshakes whose
// assembly uses BP), climb (goroutines whose stacks grow).
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"os"

	"prowltest/ctl"
)

type node struct {
	next  *node
	value int
}

var sum int

//go:noinline
func value(n *node) int { return n.value } // no frame

//go:noinline
func framed(n *node) (v int) {
	var room [8]int
	room[sum&7] = sum
	v = value(nil2(n))
	return v + room[n.value&7]
}

//go:noinline
func nil2(n *node) *node { return n }

//go:noinline
func recovers(n *node) {
	defer func() { recover() }()
	sum += framed(n)
}

func nilForever() {
	for {
		for i := 0; i < 100; i++ {
			recovers(nil)
		}
	}
}

//go:noinline
func work(rounds int) int {
	x := 1
	for i := 0; i < rounds; i++ {
		x = x*1664525 + 1013904223
	}
	return x
}

//go:noinline
func deep(n int) int {
	if n == 0 {
		return work(20000)
	}
	return deep(n-1) + n
}

func deepForever() {
	for {
		sum += deep(450)
	}
}

//go:noinline
func climb(n int) byte {
	var room [160]byte
	room[n%160] = byte(n)
	if n == 0 {
		return room[0]
	}
	return climb(n-1) + room[n%160]
}

func climbForever() {
	done := make(chan byte)
	for {
		for i := 0; i < 8; i++ {
			go func() { done <- climb(60) }()
		}
		for i := 0; i < 8; i++ {
			<-done
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func tlsForever() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	check(err)
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		SessionTicketsDisabled: true, CurvePreferences: []tls.CurveID{tls.CurveP256}}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	check(err)
	go func() {
		for {
			c, err := l.Accept()
			check(err)
			go func() {
				c.(*tls.Conn).Handshake()
				c.Close()
			}()
		}
	}()
	for {
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true,
			CurvePreferences: []tls.CurveID{tls.CurveP256}})
		if err == nil {
			c.Close()
		}
	}
}

func main() {
	go map[string]func(){"nil": nilForever, "deep": deepForever, "tls": tlsForever,
		"climb": climbForever}[os.Args[1]]()
	ctl.Ready("")
	ctl.Serve(0)
}
