#include "control/membership/member.h"

#include <gtest/gtest.h>

#include "control/config/address.h"

namespace penstock::test {
namespace {

Member some() {
  return {2, "b",    {{*parse_host("10.1.0.2"), 9470}, {*parse_host("fd00::2"), 1}},
          7, "9f3c", "0.1.0+dev~1"};
}

TEST(Member, IsReadAsItWasWritten) {
  const auto again = decode_member("members/2", encode(some()));
  ASSERT_TRUE(again) << again.error();
  EXPECT_EQ(*again, some());
}

TEST(Member, NeedsNoMoreThanItsPortsInAFileThatPeopleWrite) {
  const auto member = decode_member("members/3", R"({"ports":["10.1.0.3:9470"],"rack":"r7"})");
  ASSERT_TRUE(member) << member.error();
  EXPECT_EQ(member->id, 3u);
  EXPECT_EQ(member->name, "node3");
  EXPECT_EQ(member->epoch, 0u);
}

TEST(Member, IsRefusedWithItsKeyWhenSomethingIsWrong) {
  const std::pair<const char*, const char*> bad[] = {
      {"members/0", R"({"ports":[]})"},
      {"members/02", R"({"ports":[]})"},
      {"members/4294967296", R"({"ports":[]})"},
      {"members/x", R"({"ports":[]})"},
      {"members/2/x", R"({"ports":[]})"},
      {"members/-2", R"({"ports":[]})"},
      {"other/2", R"({"ports":[]})"},
      {"members/2", ""},
      {"members/2", "[]"},
      {"members/2", "{}"},
      {"members/2", R"({"ports":"10.1.0.2:9470"})"},
      {"members/2", R"({"ports":[7]})"},
      {"members/2", R"({"ports":["10.1.0.2"]})"},
      {"members/2", R"({"ports":["10.1.0.2:0"]})"},
      {"members/2", R"({"ports":["10.1.0.2:65536"]})"},
      {"members/2", R"({"ports":["224.0.0.1:9470"]})"},
      {"members/2", R"({"ports":["fd00::1:9470"]})"},
      {"members/2", R"({"ports":["[10.1.0.2]:9470"]})"},
      {"members/2", R"({"ports":[],"epoch":-1})"},
      {"members/2", R"({"ports":[],"epoch":"7"})"},
      {"members/2", R"({"ports":[],"name":"a\u001b[2J"})"},
      {"members/2", R"({"ports":[],"version":"1 2"})"},
  };
  for (const auto& [key, value] : bad) {
    const auto member = decode_member(key, value);
    ASSERT_FALSE(member) << key << " " << value;
    EXPECT_NE(member.error().find(key), std::string::npos) << member.error();
  }
  std::string many = R"({"ports":[)";
  for (size_t i = 0; i <= kMaxMemberPorts; i++)
    many += std::string(i ? "," : "") + R"("10.1.0.2:9470")";
  EXPECT_FALSE(decode_member("members/2", many + "]}"));
  EXPECT_FALSE(
      decode_member("members/2", R"({"ports":[],"name":")" + std::string(64, 'n') + R"("})"));
}

}  // namespace
}  // namespace penstock::test
