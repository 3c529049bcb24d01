#include "rdma/emulated/frame.h"

#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/seeds.h"

namespace penstock {
namespace {

using Bytes = std::vector<std::byte>;

Bytes written(const EmulatedFrame& f) {
  Bytes out(kEmulatedHeader + f.payload.size());
  if (!f.payload.empty())
    std::memcpy(out.data() + emulated_header(f.type), f.payload.data(), f.payload.size());
  out.resize(write_emulated(f, out.data()));
  return out;
}

// "## NAME" and the first block of hexadecimal digits below it; '#' starts a remark.
std::map<std::string, Bytes> examples() {
  std::ifstream in(EMULATED_README);
  std::map<std::string, Bytes> all;
  std::string name;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("## ")) name = line.substr(3);
    if (line.starts_with("```")) inside = line == "```hex";
    if (!inside || line.starts_with("```")) continue;
    std::istringstream words(line.substr(0, line.find('#')));
    for (std::string w; words >> w;)
      for (size_t i = 0; i + 1 < w.size(); i += 2)
        all[name].push_back(static_cast<std::byte>(std::stoi(w.substr(i, 2), nullptr, 16)));
  }
  return all;
}

TEST(EmulatedFrame, TheExamplesOfTheReadmeAreWhatItSays) {
  const std::array<std::byte, 4> payload{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  std::map<std::string, EmulatedFrame> said;
  unsigned number = 0;
  for (const char* name : {"PUT", "GET", "PIECE", "FLUSH", "ACK", "REFUSED"}) {
    EmulatedFrame f{.to = 0x10002, .nonce = 0xaabbccdd, .packet = 7, .ack = 5, .sack = 2};
    f.type = static_cast<EmulatedType>(++number);
    if (f.type >= EmulatedType::kAck) f.packet = 0;
    f.address = 0x1000;
    f.key = 0x5bd2e995;
    f.bytes = 4100;
    f.at = 4096;
    f.request = 9;
    f.has_immediate = f.type == EmulatedType::kPut;
    f.immediate = 0x300009;
    f.refused = 5;
    f.code = FabricCode::kRemoteAccess;
    f.payload = payload;
    said[name] = f;
  }
  const auto all = examples();
  for (const auto& [name, f] : said) {
    ASSERT_TRUE(all.contains(name)) << name;
    EXPECT_EQ(all.at(name), written(f)) << name;
    EXPECT_TRUE(parse_emulated(all.at(name)).has_value()) << name;
  }
}

EmulatedFrame any(std::mt19937_64& dice, Bytes& payload) {
  EmulatedFrame f;
  f.type = static_cast<EmulatedType>(1 + dice() % 6);
  f.to = static_cast<uint32_t>(dice());
  f.nonce = static_cast<uint32_t>(dice());
  const bool counted = f.type < EmulatedType::kAck;
  f.packet = counted ? 1 + dice() % 1000 : 0;
  f.ack = 1 + dice() % 1000;
  f.sack = dice();
  const bool put = f.type == EmulatedType::kPut;
  const bool piece = f.type == EmulatedType::kPiece;
  payload.assign(put || piece ? dice() % 200 + (piece ? 1 : 0) : 0, std::byte{7});
  f.payload = payload;
  if (put || f.type == EmulatedType::kGet || f.type == EmulatedType::kFlush) {
    f.address = dice();
    f.key = static_cast<uint32_t>(dice());
  }
  if (put || piece) {
    f.at = payload.empty() ? 0 : static_cast<uint32_t>(dice() % 5000);
    f.has_immediate = put && dice() % 2 == 0;
    f.bytes = f.at + static_cast<uint32_t>(payload.size());
    if (!f.has_immediate && !payload.empty()) f.bytes += static_cast<uint32_t>(dice() % 9);
    if (f.has_immediate) f.immediate = static_cast<uint32_t>(dice());
  }
  if (f.type == EmulatedType::kGet) f.bytes = static_cast<uint32_t>(dice());
  if (f.type == EmulatedType::kGet || piece) f.request = static_cast<uint32_t>(dice());
  if (f.type == EmulatedType::kRefused) {
    f.refused = 1 + dice() % 99;
    f.code = static_cast<FabricCode>(2 + dice() % 5);
  }
  return f;
}

TEST(EmulatedFrame, WhatIsWrittenIsRead) {
  for (uint64_t seed = 0; seed < test::seeds(2000); seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 dice(seed);
    Bytes payload;
    const EmulatedFrame f = any(dice, payload);
    const Bytes bytes = written(f);
    const auto back = parse_emulated(bytes);
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(back->type, f.type);
    EXPECT_EQ(back->packet, f.packet);
    EXPECT_EQ(back->address, f.address);
    EXPECT_EQ(back->bytes, f.bytes);
    EXPECT_EQ(back->immediate, f.immediate);
    EXPECT_EQ(back->refused, f.refused);
    EXPECT_EQ(written(*back), bytes);
  }
}

TEST(EmulatedFrame, OneBitOrOneByteLessAndItIsNone) {
  for (uint64_t seed = 0; seed < test::seeds(60); seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 dice(seed);
    Bytes payload;
    Bytes bytes = written(any(dice, payload));
    for (size_t bit = 0; bit < bytes.size() * 8; bit++) {
      bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
      EXPECT_FALSE(parse_emulated(bytes).has_value()) << bit;
      bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    }
    for (size_t n = 0; n < bytes.size(); n++)
      EXPECT_FALSE(parse_emulated(std::span(bytes).first(n)).has_value()) << n;
  }
}

// Sealed as it should be, and yet no frame: each with one field that breaks a rule.
TEST(EmulatedFrame, AFieldOutOfBoundsIsRefused) {
  const Bytes four(4);
  const EmulatedFrame put{
      .type = EmulatedType::kPut, .packet = 1, .ack = 1, .bytes = 4, .payload = four};
  const EmulatedFrame piece{
      .type = EmulatedType::kPiece, .packet = 1, .ack = 1, .bytes = 4, .payload = four};
  const EmulatedFrame ack{.type = EmulatedType::kAck, .ack = 1};
  const EmulatedFrame refused{
      .type = EmulatedType::kRefused, .ack = 1, .refused = 1, .code = FabricCode::kTimeout};
  for (const EmulatedFrame& good : {put, piece, ack, refused})
    ASSERT_TRUE(parse_emulated(written(good)).has_value());
  const auto broken = [](EmulatedFrame f, auto change) {
    change(f);
    return !parse_emulated(written(f)).has_value();
  };
  using F = EmulatedFrame;
  EXPECT_TRUE(broken(put, [](F& f) { f.packet = 0; }));
  EXPECT_TRUE(broken(put, [](F& f) { f.packet = ~uint64_t{0}; }));
  EXPECT_TRUE(broken(put, [](F& f) { f.ack = 0; }));
  EXPECT_TRUE(broken(put, [](F& f) { f.ack = uint64_t{1} << 63; }));
  EXPECT_TRUE(broken(put, [](F& f) { f.bytes = 3; }));
  EXPECT_TRUE(broken(put, [](F& f) { f.at = 1; }));
  EXPECT_TRUE(broken(put, [](F& f) { f.at = ~0u; }));
  EXPECT_TRUE(broken(put, [](F& f) { f.payload = {}; }));
  EXPECT_TRUE(broken(put, [](F& f) { f.immediate = 1; }));
  EXPECT_TRUE(broken(put, [](F& f) {
    f.bytes = 5;
    f.has_immediate = true;
  }));
  EXPECT_TRUE(broken(piece, [](F& f) { f.has_immediate = true; }));
  EXPECT_TRUE(broken(piece, [](F& f) {
    f.bytes = 0;
    f.payload = {};
  }));
  EXPECT_TRUE(broken(ack, [](F& f) { f.packet = 1; }));
  EXPECT_TRUE(broken(refused, [](F& f) { f.refused = 0; }));
  EXPECT_TRUE(broken(refused, [](F& f) { f.code = FabricCode::kOk; }));
  EXPECT_TRUE(broken(refused, [](F& f) { f.code = FabricCode::kCanceled; }));
  EXPECT_TRUE(broken(refused, [](F& f) { f.code = static_cast<FabricCode>(kFabricCodes); }));
}

}  // namespace
}  // namespace penstock
