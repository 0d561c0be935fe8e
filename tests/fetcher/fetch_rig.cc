#include "tests/fetcher/fetch_rig.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/digest.h"
#include "base/files.h"
#include "base/process.h"

namespace dewar {
namespace {

constexpr uid_t kNobody = 65534;

}  // namespace

Server::Server(const std::vector<std::string>& argv, bool waits_for_line) {
  int in[2], out[2];
  EXPECT_EQ(::pipe2(in, O_CLOEXEC), 0);
  EXPECT_EQ(::pipe2(out, O_CLOEXEC), 0);
  const UniqueFd their_in(in[0]);
  input_.reset(in[1]);
  output_.reset(out[0]);
  UniqueFd their_out(out[1]);
  Spawn program;
  program.program = argv[0];
  program.argv = argv;
  program.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  program.fds = {their_in.get(), their_out.get(), STDERR_FILENO};
  const auto pid = spawn(program);
  EXPECT_TRUE(pid) << pid.error().message();
  if (pid) pid_ = *pid;
  their_out.reset();
  for (char c = 0; waits_for_line && ::read(output_.get(), &c, 1) == 1 && c != '\n';) line_ += c;
}

Server::~Server() {
  input_.reset();
  if (pid_ <= 0) return;
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
}

int asked(const OddServer& server, const std::string& words) {
  const auto log = server.log();
  return static_cast<int>(std::ranges::count_if(log, [&](auto& line) { return line.find(words) != line.npos; }));
}

FetchRig::FetchRig() {
  EXPECT_EQ(::mkdir(sandbox().c_str(), 0700), 0);
  if (::geteuid() == 0) {
    EXPECT_EQ(::chown(sandbox().c_str(), kNobody, kNobody), 0);
  }
  configure("cache_folder " + cache());
  configure("credentials " + path("credentials"));
  for (const char* line : {"backoff 10ms", "connect_timeout 2s", "first_byte_timeout 500ms", "stall_timeout 1s"})
    configure(line);
}

void FetchRig::configure(const std::string& line) {
  lines_ += line + "\n";
  EXPECT_TRUE(replace_file(config(), lines_, 0600));
}

FetchRequest FetchRig::request(const std::vector<Artifact>& artifacts) const {
  FetchRequest request;
  request.name = "get";
  request.folder = sandbox();
  request.config = config();
  request.uid = request.gid = kNobody;
  request.loopback = true;
  request.artifacts = artifacts;
  return request;
}

FetchOutcome FetchRig::fetch(const std::string& uri) { return fetch(std::vector{artifact(uri)}); }

pid_t FetchRig::start(const FetchRequest& request, const std::string& log) {
  const std::string file = path("request." + std::to_string(++runs_));
  EXPECT_TRUE(replace_file(file, encode_fetch_request(request), 0600));
  const auto out = open_file(log + ".out", O_WRONLY | O_CREAT | O_TRUNC);
  const auto err = open_file(log + ".err", O_WRONLY | O_CREAT | O_TRUNC);
  Spawn fetcher;
  fetcher.program = std::string(DEWAR_BIN) + "/dewar-fetch";
  fetcher.argv = {"dewar-fetch", file, "7"};
  fetcher.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "http_proxy=http://127.0.0.1:1"};
  fetcher.fds = {-1, out->get(), err->get()};
  const auto pid = spawn(fetcher);
  EXPECT_TRUE(pid) << pid.error().message();
  return pid ? *pid : -1;
}

FetchOutcome FetchRig::run(const FetchRequest& asked) {
  FetchRequest request = asked;
  request.status_file = path("status");
  FetchOutcome outcome;
  const pid_t pid = start(request, path("log"));
  int status = 0;
  retry_eintr([&] { return ::waitpid(pid, &status, 0); });
  outcome.exit = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  if (const auto text = read_file(path("log.out"))) outcome.out = *text;
  if (const auto text = read_file(path("log.err"))) outcome.err = *text;
  const auto bytes = read_file(path("status"));
  const auto told = bytes ? decode_fetch_status(*bytes) : Result<FetchStatus>(fail("no status"));
  EXPECT_TRUE(told) << told.error().message();
  if (told) outcome.status = *told;
  return outcome;
}

std::string FetchRig::file(const std::string& name) const {
  const auto text = read_file(sandbox() + "/" + name, 1u << 30);
  return text ? *text : "<missing>";
}

std::vector<std::string> FetchRig::names() const {
  const auto names = list_dir(sandbox());
  return names ? *names : std::vector<std::string>{};
}

Artifact artifact(const std::string& uri, const std::string& sha256) {
  Artifact made;
  made.uri = uri;
  made.sha256 = sha256;
  return made;
}

}  // namespace dewar
