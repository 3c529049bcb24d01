#include "dataplane/wire/fragment.h"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <vector>

namespace penstock {
namespace {

using Bytes = std::vector<std::byte>;

FragmentHeader head(uint64_t message_len, uint64_t offset, uint32_t piece_len) {
  FragmentHeader h;
  h.message_len = message_len;
  h.offset = offset;
  h.piece_len = piece_len;
  return h;
}

Bytes frame(const FragmentHeader& h, size_t piece) {
  Bytes out(kFragmentHeaderSize + piece);
  write_fragment(h, out);
  return out;
}

TEST(Fragment, AcceptsWholeBlocksAndWhatIsLeft) {
  for (uint64_t offset = 0; offset <= 300; offset++) {
    for (uint32_t len = 0; len <= 300; len++) {
      const bool inside = offset % 64 == 0 && len != 0 && offset + len <= 200;
      const bool piece = inside && (len % 64 == 0 || offset + len == 200);
      ASSERT_EQ(parse_fragment(frame(head(200, offset, len), len)).has_value(), piece)
          << offset << ' ' << len;
    }
  }
}

TEST(Fragment, AcceptsAWholeMessageInOnePiece) {
  EXPECT_TRUE(parse_fragment(frame(head(7, 0, 7), 7)));
}

TEST(Fragment, RefusesPlacesThatWrapAround) {
  const uint64_t top = ~uint64_t{0};
  EXPECT_TRUE(parse_fragment(frame(head(top, top - 63, 63), 63)));
  EXPECT_FALSE(parse_fragment(frame(head(5, top - 63, 5), 5)));
  EXPECT_FALSE(parse_fragment(frame(head(top, top - 63, 64), 64)));
}

TEST(Fragment, RefusesSizesOfZero) {
  EXPECT_FALSE(parse_fragment(frame(head(0, 0, 0), 0)));
  EXPECT_FALSE(parse_fragment(frame(head(10, 0, 0), 0)));
  FragmentHeader h = head(10, 0, 10);
  h.parts = 0;
  EXPECT_FALSE(parse_fragment(frame(h, 10)));
}

TEST(Fragment, RefusesAPieceLengthThatIsNotTheFrames) {
  const FragmentHeader h = head(128, 0, 64);
  const Bytes all = frame(h, 128);
  for (size_t n = 0; n <= all.size(); n++) {
    EXPECT_EQ(parse_fragment(std::span(all).first(n)).has_value(), n == kFragmentHeaderSize + 64);
  }
}

TEST(Fragment, RefusesReservedBytesThatAreNotZero) {
  Bytes b = frame(head(10, 0, 10), 10);
  for (const size_t at : {70u, 71u, 76u, 77u, 78u, 79u}) {
    b[at] = std::byte{1};
    EXPECT_FALSE(parse_fragment(b)) << at;
    b[at] = std::byte{0};
  }
  EXPECT_TRUE(parse_fragment(b));
}

TEST(Fragment, HasADigestOnlyWhereALargeMessageEnds) {
  const auto parsed = [](uint64_t message_len, uint64_t offset, uint32_t len) {
    FragmentHeader h = head(message_len, offset, len);
    h.digest = 0;
    const Bytes b = frame(h, len);
    const auto f = parse_fragment(b);
    EXPECT_TRUE(!f || f->header == h);
    return f.has_value();
  };
  EXPECT_TRUE(parsed(kDigestFrom + 1, kDigestFrom, 1));
  EXPECT_TRUE(parsed(kDigestFrom + 1, 0, kDigestFrom + 1));
  EXPECT_FALSE(parsed(kDigestFrom, kDigestFrom - 64, 64));
  EXPECT_FALSE(parsed(kDigestFrom + 1, kDigestFrom - 64, 64));
  Bytes b = frame(head(kDigestFrom + 1, kDigestFrom, 1), 1);
  b[76] = std::byte{1};
  EXPECT_FALSE(parse_fragment(b)) << "a digest that is not said to be there";
}

TEST(Fragment, TakesThePieceFromASecondSegment) {
  const FragmentHeader h = head(10, 0, 10);
  const Bytes front = frame(h, 0);
  const Bytes piece(10), longer(11);
  const auto f = parse_fragment(front, piece);
  ASSERT_TRUE(f);
  EXPECT_EQ(f->piece.data(), piece.data());
  EXPECT_FALSE(parse_fragment(front, longer));
  EXPECT_FALSE(parse_fragment(frame(h, 5), std::span(piece).first(5))) << "cut inside the piece";
}

}  // namespace
}  // namespace penstock
