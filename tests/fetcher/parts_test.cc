// What the processes of dewar-fetch cannot do, should one of them be taken over.
#include "fetcher/parts.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <sstream>

#include "base/digest.h"
#include "base/files.h"
#include "fetcher/confine.h"
#include "tests/fetcher/fetch_rig.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wait_in.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;

const PartUser kNobody{::geteuid() == 0, 65534, 65534, {}};

/// What a part that is confined like this can still do, a word each.
std::string powers(const std::function<Result<void>()>& confine, const std::string& other_file) {
  auto part = Part::start(kNobody, {}, [&](int channel) {
    const auto confined = confine();
    std::string able = confined ? "" : "confine:" + confined.error().message() + " ";
    const auto can = [&](const char* word, bool done) { able += done ? std::string(word) + " " : ""; };
    can("socket", ::socket(AF_INET, SOCK_STREAM, 0) >= 0);
    can("passwd", ::open("/etc/passwd", O_RDONLY) >= 0);
    can("file", ::open(other_file.c_str(), O_RDONLY) >= 0);
    can("write", ::open(other_file.c_str(), O_WRONLY) >= 0);
    can("make", ::open((other_file + ".new").c_str(), O_WRONLY | O_CREAT, 0644) >= 0);
    can("fork", [] {
      const pid_t child = ::fork();
      if (child == 0) ::_exit(0);
      return child > 0;
    }());
    can("kill", ::kill(::getppid(), 0) == 0);
    can("ptrace", ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0);
    can("setuid", ::setuid(0) == 0);
    ::execl("/bin/true", "true", nullptr);
    (void)!::send(channel, able.data(), able.size() + 1, 0);
  });
  EXPECT_TRUE(part) << part.error().message();
  const auto told = part->receive(SystemClock().now() + std::chrono::seconds(20));
  return told ? std::string(told->c_str()) : "it executed a program";
}

class PartsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
    ASSERT_TRUE(replace_file(other, "of another"));
    ASSERT_EQ(::chmod(folder.path().c_str(), 0777), 0);
    ASSERT_EQ(::chmod(other.c_str(), 0666), 0);
  }
  TempFolder folder;
  std::string other = folder / "other";
};

// covers: S19
TEST_F(PartsTest, TheTransferHasTheNetworkAndNothingElse) {
  EXPECT_EQ(powers([] { return confine_transfer({"/etc/hosts"}); }, other), "socket ");
}

TEST_F(PartsTest, TheKeeperHasNothing) {
  EXPECT_EQ(powers([] { return confine_keeping(); }, other), "");
}

// The same attempts without the walls, so that the tests above can fail.
TEST_F(PartsTest, WithoutTheWallsAllOfThatWorks) {
  const std::string able = powers([] { return Result<void>(); }, other);
  EXPECT_EQ(able, "it executed a program");
}

/// A line of /proc/<pid>/status, without its name.
std::string status_of(pid_t pid, const std::string& name) {
  const auto text = read_file("/proc/" + std::to_string(pid) + "/status");
  const std::size_t at = text ? text->find("\n" + name + ":\t") : std::string::npos;
  if (at == std::string::npos) return "gone";
  const std::size_t from = at + name.size() + 3;
  return text->substr(from, text->find_first_of("\t\n", from) - from);
}

std::vector<pid_t> children_of(pid_t pid) {
  const std::string number = std::to_string(pid);
  const auto text = read_file("/proc/" + number + "/task/" + number + "/children");
  std::istringstream words(text ? *text : "");
  return {std::istream_iterator<pid_t>(words), {}};
}

// docs/fetcher.md, "Who does what".
TEST_F(PartsTest, WhatEachProcessHolds) {
  OddServer server;
  FetchRig rig;
  Artifact slow = artifact(server.uri("begun/a.tar"), std::string(64, '0'));
  slow.cache = CacheUse::kNo;
  const pid_t first = rig.start(rig.request({slow}), rig.path("log"));
  // What is unpacked has gone through all three, and each gives up its rights before it reads a byte.
  ASSERT_TRUE(wait_in(rig.sandbox(), [&] { return !rig.names().empty(); }));
  const std::string staging = rig.path("sandbox/" + rig.names().front());
  ASSERT_TRUE(wait_in(staging, [&] { return exists(staging + "/first"); }));
  const std::vector<pid_t> parts = children_of(first);
  EXPECT_EQ(parts.size(), 3u);
  char held[17];
  std::snprintf(held, sizeof held, "%016llx", static_cast<unsigned long long>(kFetchCapabilities));
  EXPECT_EQ(status_of(first, "CapPrm"), held);
  EXPECT_EQ(status_of(first, "CapEff"), held);
  for (const pid_t part : parts) {
    for (const char* set : {"CapPrm", "CapEff", "CapInh", "CapAmb"})
      EXPECT_EQ(status_of(part, set), "0000000000000000") << set;
    EXPECT_EQ(status_of(part, "Uid"), "65534");
    EXPECT_EQ(status_of(part, "NoNewPrivs"), "1");
    EXPECT_EQ(status_of(part, "Seccomp"), "2");
  }
  ::kill(first, SIGKILL);
  ::waitpid(first, nullptr, 0);
}

TEST_F(PartsTest, TheKeeperTellsTheDigestOfWhatItStored) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  UniqueFd reader(ends[0]), writer(ends[1]);
  const auto file = open_file(folder / "stored", O_RDWR | O_CREAT);
  auto keeper = start_keeper(kNobody, reader.get(), file->get(), -1, true);
  ASSERT_TRUE(keeper);
  reader.reset();
  const std::string bytes(3'000'000, 'x');
  ASSERT_TRUE(write_all(writer.get(), bytes, "pipe"));
  writer.reset();
  const auto message = keeper->receive(SystemClock().now() + std::chrono::seconds(20));
  ASSERT_TRUE(message);
  const auto report = decode_keeper(*message);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->error, "");
  EXPECT_EQ(report->sha256, sha256(bytes));
  EXPECT_EQ(report->sha512.size(), 128u);
  EXPECT_EQ(*read_file(folder / "stored"), bytes);
}

// Whoever takes a part over can say anything; nothing of it is more than words.
TEST_F(PartsTest, MessagesThatMakeNoSenseAreRefused) {
  for (const std::string& message : {std::string(), std::string(1, '\1'), std::string(100, '\xff'),
                                     std::string(17, '\0'), std::string(65536, '\1')}) {
    const auto transfer = decode_transfer(message);
    if (transfer && transfer->result) {
      EXPECT_LE(transfer->result->end, TransferEnd::kRefused);
    }
    (void)decode_keeper(message);
    (void)decode_unpacker(message);
  }
  EXPECT_FALSE(decode_transfer(std::string(100, '\xff')));
}

TEST_F(PartsTest, AFullDiskIsToldByTheKeeper) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  UniqueFd reader(ends[0]), writer(ends[1]);
  const auto full = open_file("/dev/full", O_WRONLY);
  auto keeper = start_keeper(kNobody, reader.get(), full->get(), -1, false);
  ASSERT_TRUE(write_all(writer.get(), "bytes", "pipe"));
  writer.reset();
  const auto message = keeper->receive(SystemClock().now() + std::chrono::seconds(20));
  ASSERT_TRUE(message);
  EXPECT_THAT(decode_keeper(*message)->error, HasSubstr("No space left on device"));
}

}  // namespace
}  // namespace dewar
