#include "fetcher/extract/ring.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

namespace dewar {
namespace {

void put(Ring& ring, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto space = ring.space();
    const std::size_t count = std::min(space.size(), bytes.size());
    std::memcpy(space.data(), bytes.data(), count);
    ring.fill(count);
    bytes.remove_prefix(count);
  }
}

TEST(Ring, CarriesMoreThanItHoldsInOrder) {
  Ring ring;
  std::string sent(Ring::kChunk * Ring::kChunks * 3 + 17, '\0');
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 31 >> 8);
  std::thread producer([&] {
    std::string_view rest = sent;
    for (std::size_t piece = 1; !rest.empty(); piece = piece * 5 % 70'001 + 1) {
      put(ring, rest.substr(0, piece));
      rest.remove_prefix(std::min(piece, rest.size()));
    }
    ring.end();
  });
  std::string got;
  for (auto chunk = ring.next(); chunk && !chunk->empty(); chunk = ring.next()) got += *chunk;
  producer.join();
  EXPECT_EQ(got == sent, true);
  EXPECT_TRUE(ring.next()->empty()) << "the end stays the end";
}

TEST(Ring, TellsAnErrorAfterWhatCameBefore) {
  Ring ring;
  put(ring, "before");
  ring.fail({std::make_error_code(std::errc::io_error), "disk"});
  ring.end();
  EXPECT_EQ(*ring.next(), "before");
  ASSERT_FALSE(ring.next());
  EXPECT_EQ(ring.next().error().code, std::errc::io_error);
}

TEST(Ring, WakesWhoWaitsWhenTheOtherSideStops) {
  Ring full;
  put(full, std::string(Ring::kChunk * Ring::kChunks, 'x'));
  std::thread producer([&] { EXPECT_TRUE(full.space().empty()); });
  full.stop();
  producer.join();

  Ring empty;
  std::thread consumer([&] { EXPECT_TRUE(empty.next()->empty()); });
  empty.stop();
  consumer.join();
}

}  // namespace
}  // namespace dewar
