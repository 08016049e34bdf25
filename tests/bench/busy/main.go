// SPDX-License-Identifier: Apache-2.0

// busy is a web service together with its clients: it keeps all CPUs busy with the mix that such
// services spend their time on (HTTP, JSON, regular expressions, sorting, hashing, compression,
// maps, formatting, the garbage collector) and gives a profiler many different stacks. It serves
// net/http/pprof too. The first line on stdout is its address.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof"
	"regexp"
	"sort"
	"strings"
	"text/template"
)

type order struct {
	ID    int               `json:"id"`
	Name  string            `json:"name"`
	Items []string          `json:"items"`
	Tags  map[string]string `json:"tags"`
}

func orders(n int) []order {
	list := make([]order, n)
	for i := range list {
		o := order{ID: i * 7919 % 1009, Name: fmt.Sprintf("order-%05d", i), Tags: map[string]string{}}
		for j := 0; j < 6; j++ {
			o.Items = append(o.Items, fmt.Sprintf("item %d of %s", j, o.Name))
			o.Tags[fmt.Sprintf("key%d", (i+j)%13)] = o.Name
		}
		list[i] = o
	}
	return list
}

func reply(w http.ResponseWriter, v interface{}) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func list(w http.ResponseWriter, r *http.Request) {
	reply(w, orders(20))
}

func sorted(w http.ResponseWriter, r *http.Request) {
	o := orders(40)
	sort.Slice(o, func(i, j int) bool { return o[i].ID < o[j].ID })
	reply(w, o[:5])
}

func store(w http.ResponseWriter, r *http.Request) {
	var o []order
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	sum := sha256.New()
	for _, x := range o {
		fmt.Fprintf(sum, "%+v", x)
	}
	fmt.Fprintf(w, "%x\n", sum.Sum(nil))
}

func packed(w http.ResponseWriter, r *http.Request) {
	z := gzip.NewWriter(w)
	defer z.Close()
	e := json.NewEncoder(z)
	if err := e.Encode(orders(10)); err != nil {
		log.Print(err)
	}
}

var words = regexp.MustCompile(`(?i)\b(order|item)-?\s?(\d+)\b`)

func search(w http.ResponseWriter, r *http.Request) {
	var b strings.Builder
	for _, o := range orders(10) {
		b.WriteString(strings.ToUpper(o.Name))
		b.WriteString(strings.Join(o.Items, "; "))
	}
	fmt.Fprintln(w, len(words.FindAllStringSubmatch(b.String(), -1)))
}

var page = template.Must(template.New("page").Parse(
	`{{range .}}<tr><td>{{.ID}}<td>{{.Name | printf "%20s"}}{{range $k, $v := .Tags}}<i>{{$k}}={{$v}}</i>{{end}}{{end}}`))

func show(w http.ResponseWriter, r *http.Request) {
	if err := page.Execute(w, orders(10)); err != nil {
		log.Print(err)
	}
}

func client(base string, body []byte) {
	for i := 0; ; i++ {
		var resp *http.Response
		var err error
		switch path := []string{"/list", "/sorted", "/store", "/packed", "/search", "/show"}[i%6]; path {
		case "/store":
			resp, err = http.Post(base+path, "application/json", bytes.NewReader(body))
		default:
			resp, err = http.Get(base + path)
		}
		if err != nil {
			log.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
	}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "the address to serve on")
	clients := flag.Int("clients", 8, "clients inside the process; 0: wait for others")
	flag.Parse()

	http.HandleFunc("/list", list)
	http.HandleFunc("/sorted", sorted)
	http.HandleFunc("/store", store)
	http.HandleFunc("/packed", packed)
	http.HandleFunc("/search", search)
	http.HandleFunc("/show", show)
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Addr())
	body, err := json.Marshal(orders(10))
	if err != nil {
		log.Fatal(err)
	}
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = *clients
	for i := 0; i < *clients; i++ {
		go client("http://"+l.Addr().String(), body)
	}
	log.Fatal(http.Serve(l, nil))
}
