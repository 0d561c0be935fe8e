// What stands between a process that shall not wait and a disk that does not keep up.
#include "isolation/launch/spool.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <string>

#include "base/files.h"
#include "isolation/log_pipe.h"

namespace dewar {
namespace {

class SpoolTest : public testing::Test {
 protected:
  void SetUp() override {
    out_ = std::move(make_log_pipe()).take();
    err_ = std::move(make_log_pipe()).take();
    spool_.emplace(std::array<UniqueFd, 2>{std::move(out_.reader), std::move(err_.reader)});
  }
  /// Waits for a piece, takes it and describes it: "out abc", "err 5 dropped, abc"; "end" at the end.
  std::string take() {
    for (;;) {
      const Spool::Piece piece = spool_->front();
      if (piece.bytes.size() + piece.dropped > 0) {
        std::string words = piece.stream == OutputStream::kStdout ? "out " : "err ";
        if (piece.dropped > 0) words += std::to_string(piece.dropped) + " dropped, ";
        words += piece.bytes;
        spool_->pop();
        return words;
      }
      if (spool_->has_ended()) return "end";
      pollfd filled{spool_->fd(), POLLIN, 0};
      ::poll(&filled, 1, -1);
      spool_->clear();
    }
  }

  Pipe out_, err_;
  std::optional<Spool> spool_;
};

TEST_F(SpoolTest, HandsOverWhatComesUntilBothHaveEnded) {
  ASSERT_TRUE(write_all(out_.writer.get(), "one\n", "pipe"));
  EXPECT_EQ(take(), "out one\n");
  ASSERT_TRUE(write_all(err_.writer.get(), "two\n", "pipe"));
  EXPECT_EQ(take(), "err two\n");
  out_.writer.reset(), err_.writer.reset();
  EXPECT_EQ(take(), "end");
}

TEST_F(SpoolTest, NobodyWaitsForWhoDoesNotTakeAndTheRestIsCounted) {
  const std::string block(64u << 10, 'x');
  constexpr std::uint64_t kBlocks = 200;  // 12.5 MiB: the pipe and the spool hold two
  for (std::uint64_t i = 0; i < kBlocks; ++i) ASSERT_TRUE(write_all(out_.writer.get(), block, "pipe"));
  out_.writer.reset(), err_.writer.reset();
  std::uint64_t kept = 0, dropped = 0;
  for (;;) {
    const Spool::Piece piece = spool_->front();
    kept += piece.bytes.size(), dropped += piece.dropped;
    if (piece.bytes.size() + piece.dropped > 0) {
      spool_->pop();
    } else if (spool_->has_ended()) {
      break;
    } else {
      spool_->clear();
      pollfd filled{spool_->fd(), POLLIN, 0};
      ::poll(&filled, 1, -1);
    }
  }
  EXPECT_EQ(kept + dropped, kBlocks * block.size());
  EXPECT_GE(kept, 1u << 20) << "what has room is kept";
  EXPECT_GT(dropped, 0u);
}

TEST_F(SpoolTest, CanBeGivenUpWhilePipesAreHeldOpen) {
  ASSERT_TRUE(write_all(out_.writer.get(), "one\n", "pipe"));
  EXPECT_EQ(take(), "out one\n");
  spool_.reset();
}

}  // namespace
}  // namespace dewar
