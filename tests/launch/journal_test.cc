// The copy for journald, against a datagram socket in its place.
#include "isolation/launch/journal.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

constexpr auto kOut = OutputStream::kStdout, kErr = OutputStream::kStderr;

class JournalTest : public testing::Test {
 protected:
  void SetUp() override {
    recipe_.journal = folder_ / "socket";
    recipe_.journal_fields = "TASK=t\nPROCESS=web\nRUN=3\n";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, recipe_.journal.c_str());
    socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  /// The next entry, or "" if there is none.
  std::string next() const {
    std::string entry(100'000, '\0');
    const ssize_t n = ::recv(socket_.get(), entry.data(), entry.size(), 0);
    entry.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return entry;
  }
  /// An entry by the native protocol.
  static std::string entry(const std::string& message, int priority = 6) {
    const std::uint64_t size = message.size();
    std::string bytes = "TASK=t\nPROCESS=web\nRUN=3\nPRIORITY=" + std::to_string(priority) + "\nMESSAGE\n";
    bytes.append(reinterpret_cast<const char*>(&size), sizeof size);
    return bytes + message + "\n";
  }

  TempFolder folder_;
  LogRecipe recipe_;
  UniqueFd socket_;
};

TEST_F(JournalTest, EachLineIsAnEntry) {
  Journal journal(recipe_);
  journal.take(kOut, "one\ntwo\n");
  journal.take(kErr, "bad\n");
  EXPECT_EQ(next(), entry("one"));
  EXPECT_EQ(next(), entry("two"));
  EXPECT_EQ(next(), entry("bad", 3));
  EXPECT_EQ(next(), "");
}

TEST_F(JournalTest, ALineThatComesInPiecesIsOneEntry) {
  Journal journal(recipe_);
  journal.take(kOut, "be");
  journal.take(kErr, "other\n");
  journal.take(kOut, "gun\nrest");
  EXPECT_EQ(next(), entry("other", 3));
  EXPECT_EQ(next(), entry("begun"));
  EXPECT_EQ(next(), "");
  journal.end(kOut);
  EXPECT_EQ(next(), entry("rest"));
}

TEST_F(JournalTest, AnyBytesAndAnyLengthAreHarmless) {
  Journal journal(recipe_);
  const std::string odd = std::string("a\0b\r\xff=x", 8);
  journal.take(kOut, odd + "\n");
  EXPECT_EQ(next(), entry(odd));
  journal.take(kOut, std::string(100'000, 'x') + "\n");
  EXPECT_EQ(next(), entry(std::string(48u << 10, 'x')));
  EXPECT_EQ(next(), entry(std::string(48u << 10, 'x')));
  EXPECT_EQ(next(), entry(std::string(100'000 - (96u << 10), 'x')));
}

TEST_F(JournalTest, WhatItDoesNotTakeAtOnceIsCounted) {
  Journal journal(recipe_);
  const std::string line(1000, 'x');
  for (int i = 0; i < 10'000; ++i) journal.take(kOut, line + "\n");  // nobody reads
  EXPECT_GT(journal.lost(), 0u);
  EXPECT_EQ(journal.lost() % 1000, 0u);
  std::uint64_t taken = 0;
  while (!next().empty()) ++taken;
  EXPECT_EQ(taken * 1000 + journal.lost(), 10'000'000u);
  journal.take(kOut, "again\n");
  EXPECT_EQ(next(), entry("again"));
}

TEST_F(JournalTest, WithoutAJournalEverythingIsCounted) {
  recipe_.journal = folder_ / "none";
  Journal journal(recipe_);
  journal.take(kOut, "12345\n");
  EXPECT_EQ(journal.lost(), 5u);
}

}  // namespace
}  // namespace dewar
