// Networks and ports of whole tasks: what a person is told, and what a task cannot do.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <sstream>

#include "isolation/net/netns.h"
#include "tests/isolation/image_fixture.h"
#include "tests/scenario/task_run.h"

namespace dewar {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> told(const TaskHistory& history, const std::string& kind) {
  std::vector<std::string> words;
  for (const EventRecord& event : history.events)
    if (event.kind == kind) words.push_back(event.process + ": " + event.words);
  return words;
}

// covers: limit ports
TEST(Ports, ThoseThatATaskWasNotGivenAreToldOnceAndWhenTheyAreGone) {
  TaskRun task(R"yaml(
name: t
ports: [http]
processes:
  - name: web
    cmdline: |
      exec python3 - <<'PROGRAM'
      import os, socket, time
      given = socket.create_server(("0.0.0.0", {{thermos.ports[http]}}))
      tcp = socket.create_server(("127.0.0.1", 0))
      tcp6 = socket.create_server(("::1", 0), family=socket.AF_INET6)
      udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
      for port in range(20000, 21000):
          try: udp.bind(("127.0.0.1", port)); break
          except OSError: pass
      client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
      client.bind(("", 0))
      print(tcp.getsockname()[1], tcp6.getsockname()[1], udp.getsockname()[1], client.getsockname()[1], flush=True)
      while not os.path.exists("told"): time.sleep(0.05)
      tcp.close()
      while True: time.sleep(1)
      PROGRAM
)yaml");
  task.start();
  TaskHistory now = task.wait([](const TaskHistory& h) { return told(h, "port").size() >= 3; }, "three ports are told");
  std::istringstream numbers(task.output("web"));
  std::string tcp, tcp6, udp, client;
  numbers >> tcp >> tcp6 >> udp >> client;
  EXPECT_THAT(told(now, "port"), ::testing::UnorderedElementsAre(
                                     "web: listens on tcp 127.0.0.1:" + tcp + ", which the task was not given",
                                     "web: listens on tcp [::1]:" + tcp6 + ", which the task was not given",
                                     "web: listens on udp 127.0.0.1:" + udp + ", which the task was not given"));
  ASSERT_TRUE(replace_file(task.sandbox() + "/told", ""));
  now = task.wait([](const TaskHistory& h) { return told(h, "port").size() >= 4; }, "the end of one is told");
  EXPECT_EQ(told(now, "port").back(), "web: no longer listens on tcp 127.0.0.1:" + tcp);
  ASSERT_TRUE(task.client().kill(Duration{0}));
  const TaskHistory end = task.wait_end();
  EXPECT_THAT(told(end, "port"), Not(Contains(HasSubstr(std::to_string(task.spec().ports.at("http"))))));
}

// covers: limit ports
TEST(Ports, OnAHostOfV1AloneAreFoundThroughTheProcessesThatHaveThemOpen) {
  TaskRun::Options options;
  options.change = [](RunnerSpec& spec) {
    if (!spec.cgroups.v1.empty()) spec.cgroups.unified.clear(), spec.cgroups.v2.clear();
  };
  TaskRun task(R"yaml(
name: t
processes:
  - {name: 'odd name', cmdline: 'exec python3 -c "import socket, time; s = socket.create_server((str(), 0)); time.sleep(600)"'}
)yaml",
               options);
  task.prepare();
  if (task.spec().cgroups.v1.empty()) GTEST_SKIP() << "needs cgroup v1";
  task.start();
  const TaskHistory now = task.wait([](const TaskHistory& h) { return !told(h, "port").empty(); }, "a port is told");
  EXPECT_THAT(told(now, "port").front(), HasSubstr("odd name: listens on tcp 0.0.0.0:"));
  ASSERT_TRUE(task.client().kill(Duration{0}));
  task.wait_end();
}

/// Prints what each way to take a port leads to.
constexpr char kTakePorts[] = R"yaml(
      exec python3 - <<'PROGRAM'
      import errno, socket
      def attempt(name, kind, family, address, before=None):
          s = socket.socket(family, kind)
          if before: s.setsockopt(*before)
          try:
              s.bind(address)
              print(name, "bound")
          except OSError as error:
              print(name, errno.errorcode[error.errno])
          return s
      four, six, tcp, udp = socket.AF_INET, socket.AF_INET6, socket.SOCK_STREAM, socket.SOCK_DGRAM
      given = {{thermos.ports[http]}}
      other = given - 7000
      attempt("tcp4", tcp, four, ("0.0.0.0", other))
      attempt("udp4", udp, four, ("0.0.0.0", other))
      attempt("tcp6", tcp, six, ("::1", other))
      attempt("udp6", udp, six, ("::1", other))
      attempt("dual", tcp, six, ("::", other), (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0))
      attempt("mapped", tcp, six, ("::ffff:127.0.0.1", other), (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0))
      attempt("reuseport", tcp, four, ("127.0.0.1", other), (socket.SOL_SOCKET, socket.SO_REUSEPORT, 1))
      attempt("swapped", tcp, four, ("127.0.0.1", socket.htons(given)))
      attempt("client", tcp, four, ("127.0.0.1", 0))
      attempt("given-udp", udp, four, ("127.0.0.1", given))
      server = attempt("given", tcp, four, ("127.0.0.1", given))
      server.listen()
      socket.create_connection(("127.0.0.1", given)).close()
      print("connected")
      PROGRAM
)yaml";

// covers: limit ports
TEST(Ports, EnforcedNoOtherCanBeBoundByAnyProtocolAndClientsWork) {
  TaskRun task(std::string("name: t\nports: [http]\nsandbox: {enforce_ports: true}\nprocesses:\n  - name: p\n    "
                           "cmdline: |") +
               kTakePorts);
  task.prepare();
  if (task.spec().cgroups.unified.empty()) GTEST_SKIP() << "needs cgroup2";
  const TaskHistory end = task.run();
  EXPECT_EQ(end.state(), TaskState::kSuccess);
  EXPECT_EQ(task.output("p"),
            "tcp4 EPERM\nudp4 EPERM\ntcp6 EPERM\nudp6 EPERM\ndual EPERM\nmapped EPERM\nreuseport EPERM\n"
            "swapped EPERM\nclient bound\ngiven-udp bound\ngiven bound\nconnected\n")
      << task.output("p", 0, "stderr");
}

TEST(Ports, WithoutEnforcementTheSameProgramBindsThem) {
  TaskRun task(std::string("name: t\nports: [http]\nprocesses:\n  - name: p\n    cmdline: |") + kTakePorts);
  EXPECT_EQ(task.run().state(), TaskState::kSuccess);
  EXPECT_THAT(task.output("p"), AllOf(HasSubstr("tcp4 bound\n"), HasSubstr("dual bound\n"), HasSubstr("udp6 bound\n")));
}

/// Listens on a port that the kernel chooses, in each way there is, and on its own; prints who can connect.
constexpr char kListen[] = R"yaml(
      exec python3 - <<'PROGRAM'
      import socket
      def reach(name, server, host):
          server.listen()
          address = server.getsockname()
          with socket.socket(server.family, socket.SOCK_STREAM) as client:
              client.settimeout(2)
              client.bind((host, 0))  # as clients do that choose their address
              try:
                  client.connect((host, address[1]))
                  peer = server.accept()[0]
                  peer.sendall(b"x")
                  print(name, "reached" if client.recv(1) == b"x" else "silent")
              except OSError as error:
                  print(name, type(error).__name__)
      def bound(family, address):
          s = socket.socket(family, socket.SOCK_STREAM)
          if address: s.bind(address)
          return s
      reach("zero", bound(socket.AF_INET, ("127.0.0.1", 0)), "127.0.0.1")
      reach("unbound", bound(socket.AF_INET, None), "127.0.0.1")
      reach("zero6", bound(socket.AF_INET6, ("::1", 0)), "::1")
      reach("unbound6", bound(socket.AF_INET6, None), "::1")
      reach("given", bound(socket.AF_INET, ("127.0.0.1", {{thermos.ports[http]}})), "127.0.0.1")
      reach("given6", bound(socket.AF_INET6, ("::1", {{thermos.ports[http]}})), "::1")
      PROGRAM
)yaml";

// covers: limit ports
TEST(Ports, EnforcedNobodyReachesOneThatTheKernelHasChosen) {
  for (const bool enforced : {true, false}) {
    TaskRun task(std::string("name: t\nports: [http]\nsandbox: {enforce_ports: ") + (enforced ? "true" : "false") +
                 "}\nprocesses:\n  - name: p\n    cmdline: |" + kListen);
    task.prepare();
    if (task.spec().cgroups.unified.empty()) GTEST_SKIP() << "needs cgroup2";
    EXPECT_EQ(task.run().state(), TaskState::kSuccess);
    const std::string other = enforced ? "TimeoutError" : "reached";
    EXPECT_EQ(task.output("p"), "zero " + other + "\nunbound " + other + "\nzero6 " + other + "\nunbound6 " + other +
                                    "\ngiven reached\ngiven6 reached\n")
        << task.output("p", 0, "stderr");
  }
}

TEST(Ports, EnforcementWithoutCgroup2IsRefusedInWords) {
  TaskRun::Options options;
  options.change = [](RunnerSpec& spec) { spec.cgroups.unified.clear(), spec.cgroups.v2.clear(); };
  TaskRun task("name: t\nsandbox: {enforce_ports: true}\nprocesses: [{name: p, cmdline: 'true'}]\n", options);
  task.prepare();
  if (task.spec().cgroups.v1.empty()) GTEST_SKIP() << "needs cgroup v1";
  const TaskHistory end = task.run();
  EXPECT_EQ(end.state(), TaskState::kLost);
  EXPECT_THAT(end.statuses.back().reason.value_or(""),
              HasSubstr("step ports: enforce the task's ports without cgroup2"));
}

/// Tasks of these tests have a host of their own, as far as the network goes: bridges, rules and abstract sockets go
/// with the test.
class OwnHost : public ::testing::Test {
 protected:
  void SetUp() override {
    home_ = open_file("/proc/self/ns/net", O_RDONLY).take();
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    ASSERT_EQ(::system("ip link set lo up"), 0);
  }
  void TearDown() override { ASSERT_EQ(::setns(home_.get(), CLONE_NEWNET), 0); }

 private:
  UniqueFd home_;
};

class Bridge : public OwnHost {
 protected:
  void SetUp() override {
    OwnHost::SetUp();
    if (::access("/usr/lib/cni/bridge", X_OK) != 0 || ::access("/usr/sbin/iptables", X_OK) != 0)
      GTEST_SKIP() << "needs the packages containernetworking-plugins and iptables";
  }
  static void expect_nothing_left(const RunnerSpec& spec) {
    EXPECT_FALSE(exists("/var/lib/dewar/net/" + spec.container_id));
    EXPECT_FALSE(exists("/run/dewar/net/" + spec.container_id));
    EXPECT_NE(::system(("grep -rqs " + spec.container_id + " /var/lib/cni/networks/dewar").c_str()), 0) << "an address";
    EXPECT_NE(::system(("iptables-save | grep -q " + spec.container_id).c_str()), 0) << "a rule";
    EXPECT_NE(::system("ip -o link | grep -q veth"), 0) << "a link";
  }
};

// covers: S7
TEST_F(OwnHost, HasNoAbstractSocketOfOursThatATaskCouldReach) {
  const UniqueFd decoy(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));  // to see that the scan finds what there is
  const sockaddr_un name{AF_UNIX, "\0decoy"};
  ASSERT_EQ(::bind(decoy.get(), reinterpret_cast<const sockaddr*>(&name), offsetof(sockaddr_un, sun_path) + 6), 0);
  ASSERT_EQ(::listen(decoy.get(), 5), 0);
  TaskRun task(R"yaml(
name: t
processes:
  - name: scan
    cmdline: |
      exec python3 - <<'PROGRAM'
      import socket, time
      for line in open("/proc/net/unix"):
          words = line.split()
          if len(words) < 8 or words[7][0] != "@": continue
          s = socket.socket(socket.AF_UNIX)
          try:
              s.connect("\0" + words[7][1:])
              print("reached", words[7], flush=True)
          except OSError:
              print("refused by", words[7], flush=True)
      open("scanned", "w")
      time.sleep(600)
      PROGRAM
)yaml");
  task.start();
  task.wait_file("scanned");
  ASSERT_TRUE(task.client().kill(Duration{0}));
  task.wait_end();  // what it wrote has come into the file only now for sure
  EXPECT_EQ(task.output("scan"), "reached @decoy\n");
}

// covers: S29
TEST(Sockets, TheControlSocketIsOutOfATasksReach) {
  TaskRun task(R"yaml(
name: t
processes:
  - name: p
    cmdline: |
      python3 - <<'PROGRAM'
      import os, socket
      s = socket.socket(socket.AF_UNIX)
      os.chdir("..")
      try:
          s.connect("control")
          print("reached")
      except OSError as error:
          print(error.strerror)
      PROGRAM
      touch ready; sleep 600
)yaml");
  task.start();
  task.wait_file("ready");
  EXPECT_EQ(task.output("p"), "No such file or directory\n");
  const std::string path = task.spec().run_folder + "/control";
  struct stat info {};
  ASSERT_EQ(::lstat(path.c_str(), &info), 0);
  EXPECT_TRUE(S_ISSOCK(info.st_mode));
  EXPECT_EQ(info.st_mode & 0777, 0600u) << "also where a folder above is open";
  EXPECT_EQ(info.st_uid, 0u);
  ASSERT_TRUE(task.client().kill(Duration{0}));
  task.wait_end();
}

constexpr char kServer[] = R"yaml(
name: t
ports: [http]
sandbox: {network: bridge}
processes:
  - {name: web, cmdline: 'cat /etc/hosts; exec python3 -m http.server {{thermos.ports[http]}}', min_duration: 0}
)yaml";

TEST_F(Bridge, AHealthCheckIsAskedInTheTasksOwnNetwork) {
  const std::string server =
      "import http.server as h; H = h.BaseHTTPRequestHandler; "
      "H.do_GET = lambda s: (s.send_response(200), s.end_headers(), s.wfile.write(bytes([111, 107]))); "
      "h.HTTPServer((str(), {{thermos.ports[health]}}), H).serve_forever()";
  TaskRun task("name: t\nsandbox: {network: bridge}\nprocesses: [{name: web, cmdline: 'exec python3 -c \"" + server +
               "\"'}]\nhealth_check_config: {interval_secs: 0.1, initial_interval_secs: 60, timeout_secs: 20}\n");
  task.start();
  const TaskHistory now = task.wait([](const TaskHistory& h) { return !told(h, "health").empty(); }, "it is healthy");
  EXPECT_THAT(told(now, "health"), Contains(": healthy: a check has passed"));
  const RunnerSpec spec = task.spec();
  ASSERT_TRUE(task.client().kill(Duration{0}));
  task.wait_end();
  expect_nothing_left(spec);
}

// covers: network bridge
TEST_F(Bridge, AnImagesRootHasItToo) {
  const TempFolder folder;
  make_small_root(folder / "image", {"cat", "python3"});
  std::string library;  // of the host's python3, shown in the image
  for (const std::string& name : *list_dir("/usr/lib"))
    if (name.starts_with("python3.")) library = "/usr/lib/" + name;
  TaskRun task("name: t\nports: [http]\nsandbox: {network: bridge, root: " + (folder / "image") + ", binds: [" +
               library +
               "]}\nprocesses: [{name: web, cmdline: 'cat /etc/hosts; exec python3 -m http.server "
               "{{thermos.ports[http]}}'}]\n");
  task.start();
  const TaskHistory now = task.wait_running("web");
  ASSERT_TRUE(now.header->address);
  const std::string address = *now.header->address, port = std::to_string(task.spec().ports.at("http"));
  const std::string get = "curl -sf --noproxy '*' --retry 60 --retry-delay 0 --retry-all-errors --max-time 60 http://";
  EXPECT_EQ(::system((get + address + ":" + port + "/ >/dev/null").c_str()), 0) << "by its address";
  EXPECT_THAT(task.output("web"), HasSubstr(address)) << "its own /etc/hosts, over the image's";
  EXPECT_FALSE(exists(folder / "image/etc/hosts")) << "the image is as it was";
  const RunnerSpec spec = task.spec();
  ASSERT_TRUE(task.client().kill(Duration{0}));
  task.wait_end();
  expect_nothing_left(spec);
}

// covers: network bridge
TEST_F(Bridge, TheAddressIsToldPortsLeadThereAndTrafficIsCounted) {
  TaskRun task(kServer);
  task.start();
  TaskHistory now = task.wait_running("web");
  ASSERT_TRUE(now.header && now.header->address);
  const std::string address = *now.header->address, port = std::to_string(task.spec().ports.at("http"));
  EXPECT_THAT(address, HasSubstr("10.82."));
  EXPECT_THAT(told(now, "network"), Contains(AllOf(HasSubstr("the address " + address), HasSubstr(port))));
  for (const std::string& host : {std::string("127.0.0.1"), address})
    EXPECT_EQ(::system(("curl --silent --fail --retry 20 --retry-delay 1 --retry-connrefused -o /dev/null http://" +
                        host + ":" + port + "/")
                           .c_str()),
              0)
        << host;
  ASSERT_TRUE(task.client().kill(Duration{0}));
  const TaskHistory end = task.wait_end();
  EXPECT_THAT(task.output("web"), HasSubstr(address + " " + task.spec().hostname));
  EXPECT_GT(end.usage.net_rx_bytes, 0);
  EXPECT_GT(end.usage.net_tx_bytes, 200);
  expect_nothing_left(task.spec());
}

// covers: network bridge
TEST_F(Bridge, ARunnerThatWasKilledIsFollowedByOneThatKeepsAndThenClearsTheNetwork) {
  TaskRun task(kServer);
  task.start();
  const TaskHistory first = task.wait_running("web");
  ASSERT_EQ(::kill(task.runner_pid(), SIGKILL), 0);
  ASSERT_EQ(task.wait_exit(), -SIGKILL);
  task.start();
  const TaskHistory second = task.wait([](const TaskHistory& h) { return h.statuses.size() > 1; }, "it is taken over");
  EXPECT_EQ(second.header->address, first.header->address);
  ASSERT_TRUE(task.client().kill(Duration{0}));
  const TaskHistory end = task.wait_end();
  EXPECT_THAT(told(end, "network"), Contains(HasSubstr("the address")).Times(1));
  expect_nothing_left(task.spec());
}

// covers: network bridge
TEST_F(Bridge, TheDeathOfTheSandboxClearsItToo) {
  TaskRun task(kServer);
  task.start();
  task.wait_running("web");
  const auto container = Container::adopt([&] {
    ContainerSpec spec;
    spec.id = task.spec().container_id;
    spec.cgroups = task.spec().cgroups;
    spec.sandbox = task.spec().sandbox;
    return spec;
  }());
  ASSERT_TRUE(container) << container.error().message();
  ASSERT_TRUE(send_signal(container->init(), SIGKILL));
  EXPECT_EQ(task.wait_end().state(), TaskState::kLost);
  expect_nothing_left(task.spec());
}

}  // namespace
}  // namespace dewar
