#include "tests/fetcher/fetch_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sstream>

#include "base/digest.h"
#include "base/process.h"

namespace dewar {
namespace {

constexpr uid_t kNobody = 65534;
constexpr std::size_t kContentSize = 300'000;  // as odd_server.py has it

/// "" unless it printed a line.
std::string read_line(int fd) {
  std::string line;
  for (char c = 0; ::read(fd, &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

int reap(pid_t pid) {
  int status = 0;
  EXPECT_EQ(retry_eintr([&] { return ::waitpid(pid, &status, 0); }), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string text_of(const std::string& path) {
  const auto text = read_file(path);
  return text ? *text : "";
}

}  // namespace

OddServer::OddServer(const std::string& certificate, const std::string& key)
    : scheme_(certificate.empty() ? "http" : "https") {
  int in[2], out[2];
  EXPECT_EQ(::pipe2(in, O_CLOEXEC), 0);
  EXPECT_EQ(::pipe2(out, O_CLOEXEC), 0);
  const UniqueFd read_end(in[0]), write_end(out[1]), output(out[0]);
  input_.reset(in[1]);
  Spawn python{.program = "/usr/bin/python3",
               .argv = {"python3", DEWAR_SOURCE "/tests/support/odd_server.py"},
               .env = {"PATH=/usr/bin:/bin"},
               .fds = {read_end.get(), write_end.get(), 2}};
  if (!certificate.empty()) python.argv.insert(python.argv.end(), {certificate, key});
  const auto pid = spawn(python);
  EXPECT_TRUE(pid);
  pid_ = *pid;
  port_ = read_line(output.get());
  EXPECT_NE(port_, "") << "odd_server.py did not start";
}

OddServer::~OddServer() {
  input_.reset();
  reap(pid_);
}

std::string OddServer::uri(const std::string& path) const { return scheme_ + "://" + host() + "/" + path; }

std::vector<std::string> OddServer::log() const {
  std::istringstream text(output_of({"/usr/bin/curl", "-sk", uri("log")}));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

void OddServer::wait_until_asked(const std::string& path, int times) const {
  output_of({"/usr/bin/curl", "-skf", uri("asked/" + std::to_string(times) + "?/" + path)});
}

std::string OddServer::content(const std::string& name, int version) {
  const std::string digits = sha256(name + " " + std::to_string(version));
  std::string block, text;
  for (std::size_t i = 0; i < digits.size(); i += 2)
    block += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  while (text.size() < kContentSize) text += block;
  text.resize(kContentSize);
  return text;
}

FetchTest::FetchTest() {
  EXPECT_EQ(::chmod(temp_.path().c_str(), 0755), 0);
  EXPECT_TRUE(make_dirs(in_sandbox("")));
  EXPECT_TRUE(make_dirs(temp_ / "credentials", 0700));
  if (::geteuid() == 0) {
    EXPECT_EQ(::chown(in_sandbox("").c_str(), kNobody, kNobody), 0);
  }
  for (const std::string& line :
       {"cache_folder " + temp_ / "cache", "credentials " + temp_ / "credentials", std::string("backoff 1ms"),
        std::string("connect_timeout 5s"), std::string("first_byte_timeout 1s"), std::string("stall_timeout 1s")})
    configure(line);
}

void FetchTest::configure(const std::string& line) {
  const std::string path = temp_ / "fetch.conf";
  EXPECT_TRUE(replace_file(path, text_of(path) + line + "\n"));
}

Artifact FetchTest::artifact(const std::string& uri) {
  Artifact made;
  made.uri = uri;
  made.cache = CacheUse::kNo;
  return made;
}

FetchTest::End FetchTest::run(const std::vector<Artifact>& artifacts) {
  FetchRequest request;
  request.name = "fetchIt";
  request.folder = in_sandbox("");
  request.status_file = temp_ / "status";
  request.config = temp_ / "fetch.conf";
  request.uid = request.gid = kNobody;
  request.loopback = true;
  request.artifacts = artifacts;
  const std::string prefix = temp_ / std::to_string(++runs_);
  EXPECT_TRUE(replace_file(prefix + ".request", encode_fetch_request(request)));
  End end;
  {
    const auto out = open_file(prefix + ".out", O_WRONLY | O_CREAT),
               err = open_file(prefix + ".err", O_WRONLY | O_CREAT);
    EXPECT_TRUE(out && err);
    const auto pid = spawn({.program = DEWAR_BIN "/dewar-fetch",
                            .argv = {"dewar-fetch", prefix + ".request"},
                            .env = {"PATH=/usr/bin:/bin"},
                            .fds = {-1, out->get(), err->get()}});
    EXPECT_TRUE(pid);
    if (pid) end.status = reap(*pid);
  }
  end.out = text_of(prefix + ".out"), end.err = text_of(prefix + ".err");
  return end;
}

std::string FetchTest::content_of(const std::string& path) const { return text_of(in_sandbox(path)); }

std::vector<std::string> FetchTest::names() const {
  auto names = list_dir(in_sandbox(""));
  EXPECT_TRUE(names);
  return std::move(names).take();
}

FetchStatus FetchTest::status() const {
  auto status = decode_fetch_status(text_of(temp_ / "status"));
  EXPECT_TRUE(status);
  return std::move(status).take();
}

std::string output_of(const std::vector<std::string>& argv) {
  int out[2];
  EXPECT_EQ(::pipe2(out, O_CLOEXEC), 0);
  UniqueFd reader(out[0]), writer(out[1]);
  const auto pid =
      spawn({.program = argv[0], .argv = argv, .env = {"PATH=/usr/bin:/bin"}, .fds = {-1, writer.get(), 2}});
  EXPECT_TRUE(pid) << argv[0];
  writer.reset();
  auto text = read_all(reader.get(), argv[0]);
  EXPECT_EQ(pid ? reap(*pid) : -1, 0) << argv[0];
  return text ? *text : "";
}

}  // namespace dewar
