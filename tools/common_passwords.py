#!/usr/bin/env python3
"""Writes src/password/common.txt, the built-in list of common passwords.

The default policy asks for 15 characters, and a list harvested from breaches holds few passwords that long. So the
list is generated from the habits that published analyses of breaches show again and again: a well-known word
repeated, joined to another or followed by a year or a run of digits; keyboard walks; sequences; one character or a
short group repeated; well-known phrases. Same input, same output: sorted by bytes, lower case, no duplicates.

Run from the root of the repository: python3 tools/common_passwords.py
"""

from pathlib import Path

SHORTEST, LONGEST = 8, 40

# Words and names that lead most published lists of common passwords.
WORDS = """
password passw0rd p@ssword p@ssw0rd welcome letmein iloveyou qwerty dragon monkey sunshine princess football
baseball superman batman master shadow michael jennifer jordan hunter trustno1 freedom whatever starwars computer
internet secret admin administrator login access hello charlie donald summer winter spring autumn ashley jessica
daniel andrew joshua matthew thomas robert anthony william nicole amanda michelle melissa elizabeth samantha
hannah maggie ginger pepper cookie banana orange cheese chocolate flower butterfly rainbow diamond silver golden
purple yellow killer soccer hockey tennis basketball liverpool chelsea arsenal barcelona juventus yankees cowboys
lakers eagles mustang ferrari porsche mercedes corvette harley yamaha phoenix tiger lion panther wolf eagle falcon
dolphin buddy lovely babygirl angel angels jesus heaven blessed family mother daddy friends forever loveyou lovers
sweetheart darling pokemon minecraft naruto samsung google facebook youtube twitter linkedin microsoft windows
apple android iphone changeme default temp guest root user test testing server database system support manager
office company london paris berlin america canada mexico australia england germany russia india december november
october september august january february monday friday sunday thunder lightning warrior ranger wizard merlin
gandalf matrix zaq12wsx qazwsx asdfgh zxcvbn abc123 qwerty123 password1 password123 admin123 welcome1 welcome123
iloveyou1 letmein1 monkey123 dragon123 a1b2c3 asdf1234 qwer1234 1q2w3e 1q2w3e4r 1q2w3e4r5t 1qaz2wsx 123qwe 123abc
""".split()

# The words that are most often joined to one another.
JOINED = """
password welcome letmein iloveyou qwerty dragon monkey sunshine princess football baseball superman master shadow
freedom computer internet secret admin login access hello summer winter changeme default chocolate butterfly
liverpool forever
""".split()

ENDINGS = """
1 12 123 1234 12345 123456 1234567 12345678 123456789 1234567890 0123456789 987654321 9876543210 111 1111 111111
222222 000 000000 00000000 007 666 777 7777777 69 99 321 654321 112233 123123 123123123 123321 121212 abc abc123
qwerty qwerty123 ! !! !!! !1 1! 123! @123 #1 @1 1234! 12345! 123456! 2019! 2020! 2021! 2022! 2023! 2024! 2025! 2026!
""".split()

PHRASES = """
correct horse battery staple|the quick brown fox|the quick brown fox jumps over the lazy dog|to be or not to be
may the force be with you|let me in please|i love you so much|i love you forever|i love you baby|i love my mom
i love my family|i love my life|i love my dog|i love my cat|i hate passwords|this is my password
this is a password|my secret password|my password is password|what is my password|i forgot my password
forgot my password|please let me in|open sesame|abracadabra|supercalifragilisticexpialidocious
all your base are belong to us|live long and prosper|winter is coming|one ring to rule them all
hakuna matata|carpe diem|veni vidi vici|in god we trust|god is good all the time|jesus is lord|jesus loves me
jesus is my savior|god bless america|happy birthday|happy birthday to you|merry christmas|happy new year
twinkle twinkle little star|mary had a little lamb|humpty dumpty|row row row your boat
hello world hello world|hello my name is|once upon a time|long time no see|never gonna give you up
never give up|never say never|keep calm and carry on|just do it|think different|think outside the box
time is money|money money money|knowledge is power|practice makes perfect|actions speak louder than words
an apple a day keeps the doctor away|the early bird catches the worm|all that glitters is not gold
a penny for your thoughts|easy come easy go|better late than never|home sweet home|no pain no gain
you only live once|live laugh love|follow your dreams|dream big|best friends forever|forever and always
always and forever|together forever|love you forever|love is all you need|all you need is love
we are the champions|we will rock you|stairway to heaven|hotel california|bohemian rhapsody|another brick in the wall
come together|let it be|hey jude|yellow submarine|highway to hell|back in black|enter sandman|smells like teen spirit
star wars|luke skywalker|darth vader|i am your father|harry potter|lord of the rings|game of thrones
spider man|iron man|captain america|the dark knight|i am batman|i am groot|james bond|sherlock holmes|mickey mouse
donald duck|bugs bunny|scooby doo|hello kitty|pretty princess|little princess|manchester united|real madrid
liverpool fc|you will never walk alone|dallas cowboys|new york yankees|chicago bulls|los angeles lakers|golden state
united states of america|new york city|los angeles|san francisco|las vegas|great britain|united kingdom
south africa|administrator password|default password|temporary password|new password|change me now|change this password
please change me|password please|not my password|no password|password password password|enter password|super secret
top secret|top secret password|secret secret|do not enter|keep out|access granted|access denied|login please
system administrator|super user|super administrator|welcome home|welcome to the jungle|welcome back|hello there
good morning|good night|good luck|good game|i am the best|i am the king|i am awesome|i am legend|i am happy|who am i
who are you|where are you|what is love|what is this|why so serious|say my name|show me the money|mind your own business
""".replace("\n", "|").split("|")

# Rows and columns of common keyboards, and the walks people make over them.
WALKS = """
qwertyuiop qwertzuiop azertyuiop asdfghjkl asdfghjkl; zxcvbnm zxcvbnm,./ qwertyuiopasdfghjkl asdfghjklzxcvbnm
qwertyuiopasdfghjklzxcvbnm qwertyuiop[] 1234567890-= 1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol. zaq12wsxcde34rfvbgt56yhn
1qazxsw23edcvfr45tgbnhy6 qazwsxedcrfvtgbyhnujmikolp qaz123wsx456edc789 q1w2e3r4t5y6u7i8o9p0 1q2w3e4r5t6y7u8i9o0p
a1s2d3f4g5h6j7k8l9 a1b2c3d4e5f6g7h8i9j0 1a2b3c4d5e6f7g8h9i0j !qaz@wsx#edc$rfv%tgb !@#$%^&*()_+ qweasdzxc qweasdzxcrtyfghvbn
qwe123asd456zxc789 123qweasdzxc 123qwe456rty789uio 147258369 159753 741852963 963852741 789456123 321654987 7894561230
poiuytrewq lkjhgfdsa mnbvcxz poiuytrewqlkjhgfdsamnbvcxz 0987654321 0okm9ijn8uhb7ygv asdfqwer qwerasdf qwerasdfzxcv
asdfjkl; fdsarewqvcxz qwertasdfgzxcvb yuiophjklnm
abcdefghijklmnopqrstuvwxyz zyxwvutsrqponmlkjihgfedcba abcdefgh12345678 abcd1234efgh5678 12345678abcdefgh
01234567890123456789012345678901234567890 98765432109876543210987654321098765432109
12345678987654321 1234567887654321 123456789abcdefghi abcdefghi123456789 3141592653589793238462643383279502884197
2718281828459045235360287471352662497757 1123581321345589144 1248163264128256512 112233445566778899 998877665544332211
111222333444555666777888999 1122334455667788990011 123123123456456456789789789 102030405060708090 100200300400500
""".split()

# Short groups that are typed over and over.
GROUPS = """
123 1234 12345 123456 1234567 12345678 123456789 1234567890 321 4321 54321 654321 987654321 12 21 10 01 69 99 007
123321 1221 112233 1212 2580 1313 6969 abc abcd abcde abcdef abc123 123abc a1 a1b2 a1b2c3 aa11 xyz asd asdf qwe qwer
qwert qwerty qaz wsx qazwsx zxc zxcv zxcvbn asdfgh asdfghjkl qwertyuiop zxcvbnm 1q 1q2w 1q2w3e 1qaz 2wsx 1qaz2wsx
q1w2e3 qweasd aaabbb aabbcc ab ba xy ha haha la lala lol lmao omg love hate test temp pass user root god sex xxx
blah foobar foo bar hello bye yes no ok okay
""".split()


def entries():
    for word in WORDS:
        for times in range(1, 5):
            yield word * times
        for ending in ENDINGS + [str(year) for year in range(2015, 2027)]:
            yield word + ending
        for ending in ("1", "123", "1234", "!"):
            yield word * 2 + ending
        for run in ("123", "123456", "123456789"):
            yield run + word
            yield run + word + run
        yield word + word[::-1]
        yield word + "-" + word
        yield word + " " + word
    for first in JOINED:
        for second in JOINED:
            yield first + second
            if first != second:
                yield first + second + "1"
                yield first + second + "123"
    for phrase in PHRASES:
        words = phrase.split()
        for joint in ("", " ", "-", "_", "."):
            for ending in ("", "1", "123", "!"):
                yield joint.join(words) + ending
    for walk in WALKS:
        for text in (walk, walk[::-1]):
            for length in range(SHORTEST, len(text) + 1):
                yield text[:length]
                yield text[-length:]
            for times in (2, 3):
                yield text * times
            for ending in ("1", "123", "1234", "!", "!@#"):
                yield text + ending
    for group in GROUPS:
        for length in range(SHORTEST, 33):
            yield (group * 33)[:length]
    for character in "abcdefghijklmnopqrstuvwxyz0123456789!@#$%*.-_?":
        for length in range(SHORTEST, 33):
            yield character * length
    for digits in ("0123456789" * 5, "9876543210" * 5):
        for start in range(10):
            for length in range(SHORTEST, 25):
                yield digits[start : start + length]
    letters = "abcdefghijklmnopqrstuvwxyz"
    for start in range(26):
        for length in range(SHORTEST, 27 - start):
            yield letters[start : start + length]


def main():
    kept = sorted({e.lower() for e in entries() if SHORTEST <= len(e) <= LONGEST and e == e.strip() and e.isascii()})
    Path("src/password/common.txt").write_text("\n".join(kept) + "\n", encoding="ascii")
    print(len(kept), "entries,", sum(len(e) >= 15 for e in kept), "of them of 15 characters or more")


if __name__ == "__main__":
    main()
