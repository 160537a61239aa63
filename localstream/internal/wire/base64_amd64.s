#include "textflag.h"

// Sixteen characters at a time. The arithmetic is that of Wojciech Muła's: nibbles choose, from tables of sixteen bytes,
// what tells good characters from bad ones and what lies between a character and its value.

// Bits of classes by low and by high nibble; a bad character has one in common.
DATA lowNibble<>+0(SB)/8, $0x1111111111111115
DATA lowNibble<>+8(SB)/8, $0x1A1B1B1B1A131111
GLOBL lowNibble<>(SB), RODATA|NOPTR, $16

DATA highNibble<>+0(SB)/8, $0x0804080402011010
DATA highNibble<>+8(SB)/8, $0x1010101010101010
GLOBL highNibble<>(SB), RODATA|NOPTR, $16

// From a character to its value, by high nibble; the slash has the one below its own.
DATA toValue<>+0(SB)/8, $0xB9B9BFBF04131000
DATA toValue<>+8(SB)/8, $0
GLOBL toValue<>(SB), RODATA|NOPTR, $16

DATA nibbles<>+0(SB)/8, $0x0F0F0F0F0F0F0F0F
DATA nibbles<>+8(SB)/8, $0x0F0F0F0F0F0F0F0F
GLOBL nibbles<>(SB), RODATA|NOPTR, $16

DATA slash<>+0(SB)/8, $0x2F2F2F2F2F2F2F2F
DATA slash<>+8(SB)/8, $0x2F2F2F2F2F2F2F2F
GLOBL slash<>(SB), RODATA|NOPTR, $16

// Two values of 6 bits into 12, two of these into 24.
DATA join6<>+0(SB)/8, $0x0140014001400140
DATA join6<>+8(SB)/8, $0x0140014001400140
GLOBL join6<>(SB), RODATA|NOPTR, $16

DATA join12<>+0(SB)/8, $0x0001100000011000
DATA join12<>+8(SB)/8, $0x0001100000011000
GLOBL join12<>(SB), RODATA|NOPTR, $16

// The three bytes of each 24 bits in their order, together.
DATA packed<>+0(SB)/8, $0x090A040506000102
DATA packed<>+8(SB)/8, $0xFFFFFFFF0C0D0E08
GLOBL packed<>(SB), RODATA|NOPTR, $16

// func decodeBlocks(dst, src *byte, blocks int) (done int)
TEXT ·decodeBlocks(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ blocks+16(FP), CX
	XORQ AX, AX
	MOVOU lowNibble<>(SB), X8
	MOVOU highNibble<>(SB), X9
	MOVOU toValue<>(SB), X10
	MOVOU nibbles<>(SB), X11
	MOVOU slash<>(SB), X12
	MOVOU join6<>(SB), X13
	MOVOU join12<>(SB), X14
	MOVOU packed<>(SB), X15
	PXOR X7, X7

decode:
	CMPQ AX, CX
	JGE decoded
	MOVOU (SI), X0
	MOVO X0, X1
	PSRLL $4, X1
	PAND X11, X1      // high nibbles
	MOVO X0, X2
	PAND X11, X2      // low nibbles
	MOVO X8, X3
	PSHUFB X2, X3
	MOVO X9, X4
	PSHUFB X1, X4
	PAND X3, X4
	PCMPEQB X7, X4
	PMOVMSKB X4, DX
	CMPL DX, $0xFFFF
	JNE decoded
	MOVO X0, X5
	PCMPEQB X12, X5   // -1 for a slash
	PADDB X1, X5
	MOVO X10, X6
	PSHUFB X5, X6
	PADDB X6, X0      // values
	PMADDUBSW X13, X0
	PMADDWL X14, X0
	PSHUFB X15, X0
	MOVOU X0, (DI)
	ADDQ $16, SI
	ADDQ $12, DI
	INCQ AX
	JMP decode

decoded:
	MOVQ AX, done+24(FP)
	RET

// The three used words of each half, together.
DATA halves<>+0(SB)/8, $0x0000000100000000
DATA halves<>+8(SB)/8, $0x0000000400000002
DATA halves<>+16(SB)/8, $0x0000000600000005
DATA halves<>+24(SB)/8, $0x0000000700000007
GLOBL halves<>(SB), RODATA|NOPTR, $32

// func decodePairs(dst, src *byte, pairs int) (done int)
TEXT ·decodePairs(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ pairs+16(FP), CX
	XORQ AX, AX
	VBROADCASTI128 lowNibble<>(SB), Y8
	VBROADCASTI128 highNibble<>(SB), Y9
	VBROADCASTI128 toValue<>(SB), Y10
	VBROADCASTI128 nibbles<>(SB), Y11
	VBROADCASTI128 slash<>(SB), Y12
	VBROADCASTI128 join6<>(SB), Y13
	VBROADCASTI128 join12<>(SB), Y14
	VBROADCASTI128 packed<>(SB), Y15
	VMOVDQU halves<>(SB), Y7

decodePair:
	CMPQ AX, CX
	JGE decodedPairs
	VMOVDQU (SI), Y0
	VPSRLD $4, Y0, Y1
	VPAND Y11, Y1, Y1   // high nibbles
	VPAND Y11, Y0, Y2   // low nibbles
	VPSHUFB Y2, Y8, Y3
	VPSHUFB Y1, Y9, Y4
	VPTEST Y3, Y4
	JNE decodedPairs
	VPCMPEQB Y12, Y0, Y5 // -1 for a slash
	VPADDB Y1, Y5, Y5
	VPSHUFB Y5, Y10, Y6
	VPADDB Y6, Y0, Y0   // values
	VPMADDUBSW Y13, Y0, Y0
	VPMADDWD Y14, Y0, Y0
	VPSHUFB Y15, Y0, Y0
	VPERMD Y0, Y7, Y0
	VMOVDQU Y0, (DI)
	ADDQ $32, SI
	ADDQ $24, DI
	INCQ AX
	JMP decodePair

decodedPairs:
	VZEROUPPER
	MOVQ AX, done+24(FP)
	RET

// Each three bytes b0 b1 b2 as b1 b0 b2 b1, from where shifts by multiplication put 6 bits into each byte.
DATA spread<>+0(SB)/8, $0x0405030401020001
DATA spread<>+8(SB)/8, $0x0A0B090A07080607
GLOBL spread<>(SB), RODATA|NOPTR, $16

DATA evenBits<>+0(SB)/8, $0x0FC0FC000FC0FC00
DATA evenBits<>+8(SB)/8, $0x0FC0FC000FC0FC00
GLOBL evenBits<>(SB), RODATA|NOPTR, $16

DATA evenShift<>+0(SB)/8, $0x0400004004000040
DATA evenShift<>+8(SB)/8, $0x0400004004000040
GLOBL evenShift<>(SB), RODATA|NOPTR, $16

DATA oddBits<>+0(SB)/8, $0x003F03F0003F03F0
DATA oddBits<>+8(SB)/8, $0x003F03F0003F03F0
GLOBL oddBits<>(SB), RODATA|NOPTR, $16

DATA oddShift<>+0(SB)/8, $0x0100001001000010
DATA oddShift<>+8(SB)/8, $0x0100001001000010
GLOBL oddShift<>(SB), RODATA|NOPTR, $16

DATA fiftyOne<>+0(SB)/8, $0x3333333333333333
DATA fiftyOne<>+8(SB)/8, $0x3333333333333333
GLOBL fiftyOne<>(SB), RODATA|NOPTR, $16

DATA twentySix<>+0(SB)/8, $0x1A1A1A1A1A1A1A1A
DATA twentySix<>+8(SB)/8, $0x1A1A1A1A1A1A1A1A
GLOBL twentySix<>(SB), RODATA|NOPTR, $16

DATA thirteen<>+0(SB)/8, $0x0D0D0D0D0D0D0D0D
DATA thirteen<>+8(SB)/8, $0x0D0D0D0D0D0D0D0D
GLOBL thirteen<>(SB), RODATA|NOPTR, $16

// From a value to its character: small letters, the ten digits, plus, slash, capital letters.
DATA toCharacter<>+0(SB)/8, $0xFCFCFCFCFCFCFC47
DATA toCharacter<>+8(SB)/8, $0x000041F0EDFCFCFC
GLOBL toCharacter<>(SB), RODATA|NOPTR, $16

// func encodeBlocks(dst, src *byte, blocks int)
TEXT ·encodeBlocks(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ blocks+16(FP), CX
	MOVOU spread<>(SB), X7
	MOVOU evenBits<>(SB), X8
	MOVOU evenShift<>(SB), X9
	MOVOU oddBits<>(SB), X10
	MOVOU oddShift<>(SB), X11
	MOVOU fiftyOne<>(SB), X12
	MOVOU twentySix<>(SB), X13
	MOVOU thirteen<>(SB), X14
	MOVOU toCharacter<>(SB), X15

encode:
	TESTQ CX, CX
	JLE encoded
	MOVOU (SI), X0
	PSHUFB X7, X0
	MOVO X0, X1
	PAND X8, X0
	PMULHUW X9, X0
	PAND X10, X1
	PMULLW X11, X1
	POR X1, X0        // values
	MOVO X0, X2
	PSUBUSB X12, X2
	MOVO X13, X3
	PCMPGTB X0, X3    // below 26
	PAND X14, X3
	POR X3, X2
	MOVO X15, X4
	PSHUFB X2, X4
	PADDB X4, X0
	MOVOU X0, (DI)
	ADDQ $12, SI
	ADDQ $16, DI
	DECQ CX
	JMP encode

encoded:
	RET

// func encodePairs(dst, src *byte, pairs int)
TEXT ·encodePairs(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ pairs+16(FP), CX
	VBROADCASTI128 spread<>(SB), Y7
	VBROADCASTI128 evenBits<>(SB), Y8
	VBROADCASTI128 evenShift<>(SB), Y9
	VBROADCASTI128 oddBits<>(SB), Y10
	VBROADCASTI128 oddShift<>(SB), Y11
	VBROADCASTI128 fiftyOne<>(SB), Y12
	VBROADCASTI128 twentySix<>(SB), Y13
	VBROADCASTI128 thirteen<>(SB), Y14
	VBROADCASTI128 toCharacter<>(SB), Y15

encodePair:
	TESTQ CX, CX
	JLE encodedPairs
	VMOVDQU (SI), X0
	VINSERTI128 $1, 12(SI), Y0, Y0
	VPSHUFB Y7, Y0, Y0
	VPAND Y10, Y0, Y1
	VPAND Y8, Y0, Y0
	VPMULHUW Y9, Y0, Y0
	VPMULLW Y11, Y1, Y1
	VPOR Y1, Y0, Y0      // values
	VPSUBUSB Y12, Y0, Y2
	VPCMPGTB Y0, Y13, Y3 // below 26
	VPAND Y14, Y3, Y3
	VPOR Y3, Y2, Y2
	VPSHUFB Y2, Y15, Y4
	VPADDB Y4, Y0, Y0
	VMOVDQU Y0, (DI)
	ADDQ $24, SI
	ADDQ $32, DI
	DECQ CX
	JMP encodePair

encodedPairs:
	VZEROUPPER
	RET

// func hasAVX2() bool
TEXT ·hasAVX2(SB), NOSPLIT, $0-1
	MOVB $0, ret+0(FP)
	XORL AX, AX
	XORL CX, CX
	CPUID
	CMPL AX, $7
	JLT noAVX2
	MOVL $1, AX
	XORL CX, CX
	CPUID
	ANDL $0x18000000, CX // it has AVX, and the system saves registers
	CMPL CX, $0x18000000
	JNE noAVX2
	XORL CX, CX
	XGETBV
	ANDL $6, AX          // these registers too
	CMPL AX, $6
	JNE noAVX2
	MOVL $7, AX
	XORL CX, CX
	CPUID
	SHRL $5, BX
	ANDL $1, BX
	MOVB BX, ret+0(FP)

noAVX2:
	RET

// func hasSSSE3() bool
TEXT ·hasSSSE3(SB), NOSPLIT, $0-1
	MOVL $1, AX
	XORL CX, CX
	CPUID
	SHRL $9, CX
	ANDL $1, CX
	MOVB CX, ret+0(FP)
	RET
