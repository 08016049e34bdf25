/* SPDX-License-Identifier: Apache-2.0 */
/* Containers, pods and units by the forms of cgroup paths that are seen in the field. */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "names.h"
#include "unit_test.h"

#define ID  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UID "6a3c1d2e-7b7f-4c55-9a4e-0f5a1b2c3d4e"
#define U_D "6a3c1d2e_7b7f_4c55_9a4e_0f5a1b2c3d4e"
#define HEX "d4d9a8b7c6e5f4031221304152637485"

struct want { /* NULL is "" */
	const char *container_id, *pod_uid, *qos, *unit, *machine;
	bool user_unit, helper;
};

static const struct form {
	const char *text;
	struct want want;
} forms[] = {
	/* Kubernetes */
	{"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" U_D
	 ".slice/cri-containerd-" ID ".scope\n",
	 {.container_id = ID, .pod_uid = UID, .qos = "burstable"}},
	{"0::/kubepods.slice/kubepods-pod" U_D ".slice/crio-" ID ".scope\n",
	 {.container_id = ID, .pod_uid = UID, .qos = "guaranteed"}},
	{"0::/kubepods.slice/kubepods-pod" U_D ".slice/crio-" ID ".scope/container\n",
	 {.container_id = ID, .pod_uid = UID, .qos = "guaranteed"}},
	{"0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" U_D
	 ".slice/docker-" ID ".scope\n",
	 {.container_id = ID, .pod_uid = UID, .qos = "besteffort"}},
	{"0::/kubepods/besteffort/pod" UID "/" ID "\n",
	 {.container_id = ID, .pod_uid = UID, .qos = "besteffort"}},
	{"0::/kubepods/pod" UID "/" ID "\n",
	 {.container_id = ID, .pod_uid = UID, .qos = "guaranteed"}},
	{"0::/kubepods/burstable/pod" HEX "/" ID "\n",
	 {.container_id = ID, .pod_uid = HEX, .qos = "burstable"}},
	{"0::/system.slice/containerd.service/kubepods-burstable-pod" U_D
	 ".slice:cri-containerd:" ID "\n",
	 {.container_id = ID, .pod_uid = UID, .qos = "burstable"}},
	{"0::/kubepods-burstable-pod" U_D ".slice:cri-containerd:" ID "\n",
	 {.container_id = ID, .pod_uid = UID, .qos = "burstable"}},
	{"0::/../../kubepods-besteffort-pod" U_D ".slice/cri-containerd-" ID ".scope\n",
	 {.container_id = ID, .pod_uid = UID, .qos = "besteffort"}},
	{"0::/kubelet.slice/kubelet-kubepods.slice/kubepods-burstable.slice/"
	 "kubepods-burstable-pod" U_D ".slice/cri-containerd-" ID ".scope\n",
	 {.container_id = ID, .pod_uid = UID, .qos = "burstable"}},
	{"0::/kubepods.slice/kubepods-pod" U_D ".slice/crio-conmon-" ID ".scope\n",
	 {.container_id = ID, .pod_uid = UID, .qos = "guaranteed", .helper = true}},
	{"12:cpu,cpuacct:/kubepods/burstable/pod" UID "/" ID "\n1:name=systemd:/x\n0::/\n",
	 {.container_id = ID, .pod_uid = UID, .qos = "burstable"}},
	/* Docker and Podman */
	{"0::/system.slice/docker-" ID ".scope\n", {.container_id = ID}},
	{"0::/docker/" ID "\n", {.container_id = ID}},
	{"0::/../" ID "\n", {.container_id = ID}},
	{"0::/machine.slice/libpod-" ID ".scope\n", {.container_id = ID}},
	{"0::/machine.slice/libpod-" ID ".scope/container\n", {.container_id = ID}},
	{"0::/machine.slice/libpod-conmon-" ID ".scope\n", {.container_id = ID, .helper = true}},
	{"0::/libpod_parent/libpod-" ID "\n", {.container_id = ID}},
	{"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope\n",
	 {.container_id = ID}},
	{"11:pids:/docker/" ID "\n9:memory:/docker/" ID "\n0::/\n", {.container_id = ID}},
	{"13:memory:/system.slice/docker-" ID ".scope\n2:cpuset:/\n1:name=systemd:/\n",
	 {.container_id = ID}},
	/* systemd */
	{"0::/system.slice/nginx.service\n", {.unit = "nginx.service"}},
	{"0::/system.slice/nginx.service/worker/1\n", {.unit = "nginx.service"}},
	{"0::/system.slice/system-getty.slice/getty@tty1.service\n",
	 {.unit = "getty@tty1.service"}},
	{"0::/system.slice/my\\x2dapp.service\n", {.unit = "my-app.service"}},
	{"0::/system.slice/system-pg\\x2dmain.slice/pg\\x2dmain@14.service\n",
	 {.unit = "pg-main@14.service"}},
	{"0::/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service\n",
	 {.unit = "sync.service", .user_unit = true}},
	{"0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", {.unit = ""}},
	{"0::/user.slice/user-1000.slice/session-3.scope\n", {.unit = ""}},
	{"1:name=systemd:/system.slice/cron.service\n3:cpu,cpuacct:/\n", {.unit = "cron.service"}},
	/* LXC and machines */
	{"0::/lxc/web\n", {.machine = "web"}},
	{"0::/lxc/web/init.scope\n", {.machine = "web"}},
	{"0::/lxc.payload.web/system.slice/sshd.service\n", {.machine = "web"}},
	{"0::/lxc.payload/web\n", {.machine = "web"}},
	{"0::/machine.slice/machine-deb\\x2d12.scope\n", {.machine = "deb-12"}},
	{"0::/machine.slice/systemd-nspawn@deb\\x2d12.service/payload\n", {.machine = "deb-12"}},
	/* nothing known */
	{"0::/\n", {.unit = ""}},
	{"", {.unit = ""}},
	{"\n\n::\n", {.unit = ""}},
	{"0::/some/where\n", {.unit = ""}},
	{"0::/docker/0123456789abcdef\n", {.unit = ""}},
	{"0::/docker/x" ID "\n", {.unit = ""}},
	{"0::/docker/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\n",
	 {.unit = ""}},
	{"0::/kubepods/podcast/" ID "\n", {.container_id = ID}},
	{"0::/system.slice/bad\\xzz.service\n", {.unit = "bad\\xzz.service"}},
};

static bool differs(const char *is, const char *want)
{
	return strcmp(is, want ? want : "") != 0;
}

static void compare(const char *text, const struct prowl_place *p, const struct want *w)
{
	if (differs(p->container_id, w->container_id) || differs(p->pod_uid, w->pod_uid) ||
	    differs(p->unit, w->unit) || differs(p->machine, w->machine) ||
	    differs(p->qos, w->qos) || p->helper != w->helper || p->user_unit != w->user_unit)
		fail_msg("%s: container '%s' pod '%s' %s unit '%s' %d machine '%s' %d", text,
			 p->container_id, p->pod_uid, p->qos, p->unit, p->user_unit, p->machine,
			 p->helper);
}

TEST(every_form_of_a_path_is_known)
{
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		struct prowl_place p;

		prowl_place_of(forms[i].text, &p);
		compare(forms[i].text, &p, &forms[i].want);
	}
}

TEST(the_path_is_kept_as_it_is)
{
	struct prowl_place p;

	prowl_place_of("3:cpu:/\n0::/some/where\n", &p);
	assert_string_equal(p.path, "/some/where");
	prowl_place_of("3:pids:/a\n2:memory:/b\n0::/\n", &p);
	assert_string_equal(p.path, "/b");
}

TEST(what_is_too_long_is_left_out)
{
	char text[2048] = "0::/system.slice/";
	struct prowl_place p;

	memset(text + strlen(text), 'a', 1500);
	strcat(text, ".service/docker-" ID ".scope\n");
	prowl_place_of(text, &p);
	assert_string_equal(p.path, "");
	assert_string_equal(p.container_id, ID);
	text[strlen(text) - strlen("/docker-" ID ".scope\n")] = '\0';
	prowl_place_of(text, &p);
	assert_string_equal(p.unit, "");
}

/* --- names --------------------------------------------------------------------------------- */

static char root[] = "/tmp/prowl-names-XXXXXX";

static int make_root(void **state)
{
	return mkdtemp(root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	return remove(path);
}

static int remove_root(void **state)
{
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

TEST_GROUP(make_root, remove_root);

/* A file, with the folders above it; "" in a folder's place makes only that. */
static void put(const char *path, const char *text)
{
	char full[1024];
	FILE *f;

	snprintf(full, sizeof full, "%s/%s", root, path);
	for (char *s = full + strlen(root) + 1; (s = strchr(s, '/')); s++) {
		*s = '\0';
		mkdir(full, 0700);
		*s = '/';
	}
	if (full[strlen(full) - 1] == '/')
		return;
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static struct prowl_names *names_of(void)
{
	char pods[256], docker[256];
	struct prowl_names *n;

	snprintf(pods, sizeof pods, "%s/pods", root);
	snprintf(docker, sizeof docker, "%s/docker", root);
	n = prowl_names_new(pods, docker);
	assert_non_null(n);
	return n;
}

TEST(pods_are_named_by_the_folders_of_their_logs)
{
	struct prowl_place p = {.container_id = ID, .pod_uid = UID};
	struct prowl_names *n = names_of();
	const struct prowl_named *named;

	/* Before the kubelet has made anything, and 9 s later: nothing is kept for ever. */
	named = prowl_names_of(n, &p, 1);
	assert_string_equal(named->pod, "");
	put("pods/prod_web-7d4b9_" UID "/nginx/0.log", "");
	put("pods/prod_other_99991d2e-7b7f-4c55-9a4e-0f5a1b2c3d4e/x/0.log", "");
	put("pods/with_under_score_" UID "/x/0.log", "");
	assert_string_equal(prowl_names_of(n, &p, 9000000000)->pod, "");
	named = prowl_names_of(n, &p, 11000000000);
	assert_string_equal(named->namespace_, "prod");
	assert_string_equal(named->pod, "web-7d4b9");
	assert_string_equal(named->container, "nginx");
	prowl_names_free(n);

	/* Two containers: the link says which. */
	put("pods/prod_web-7d4b9_" UID "/sidecar/0.log", "");
	n = names_of();
	named = prowl_names_of(n, &p, 1);
	assert_string_equal(named->pod, "web-7d4b9");
	assert_string_equal(named->container, "");
	put("containers/web-7d4b9_prod_sidecar-" ID ".log", "");
	named = prowl_names_of(n, &p, 11000000000);
	assert_string_equal(named->container, "sidecar");
	prowl_names_free(n);
}

TEST(containers_of_docker_are_named_by_their_configuration)
{
	struct prowl_place p = {.container_id = ID};
	struct prowl_names *n = names_of();
	const struct prowl_named *named;

	put("docker/" ID "/config.v2.json",
	    "{\"Name\":\"/shop-cart-1\",\"Config\":{\"Image\":\"shop/cart:1.2\",\"Labels\":"
	    "{\"com.docker.compose.service\":\"cart\",\"x\":5}}}");
	named = prowl_names_of(n, &p, 1);
	assert_string_equal(named->container, "shop-cart-1");
	assert_string_equal(named->compose, "cart");
	assert_string_equal(named->image, "shop/cart:1.2");
	assert_string_equal(named->pod, "");
	prowl_names_free(n);

	n = names_of();
	p.container_id[0] = 'f';
	put("docker/f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef/config.v2.json",
	    "{\"Name\":[1],\"Config\":7} no JSON");
	assert_string_equal(prowl_names_of(n, &p, 1)->container, "");
	p.container_id[0] = 'e';
	put("docker/e123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef/config.v2.json",
	    "{\"Name\":\"/k8s_POD\",\"Config\":{\"Labels\":{\"io.kubernetes.pod.name\":\"p\","
	    "\"io.kubernetes.pod.namespace\":\"ns\",\"io.kubernetes.container.name\":\"c\"}}}");
	named = prowl_names_of(n, &p, 1);
	assert_string_equal(named->namespace_, "ns");
	assert_string_equal(named->pod, "p");
	assert_string_equal(named->container, "c");
	prowl_names_free(n);
}

TEST(names_are_bounded)
{
	struct prowl_place p = {.container_id = ID};
	struct prowl_names *n = names_of();

	for (unsigned int i = 0; i < 5000; i++) {
		snprintf(p.container_id, sizeof p.container_id, "%064x", i);
		assert_string_equal(prowl_names_of(n, &p, 1)->container, "");
	}
	p.container_id[0] = '\0';
	assert_string_equal(prowl_names_of(n, &p, 1)->container, "");
	prowl_names_free(n);
}
