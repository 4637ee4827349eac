// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.26;

/// @title Verifier of foldnet's proofs for one model.
/// @notice A proof consists of a Groth16 proof with the three inputs (p, gamma, f), of a Mercury
/// opening (eprint 2025/385), and of the data D that they speak about:
///
///   D = context, model, count, statement[1..], x_lo, x_hi, y_lo, y_hi of each commitment,
///       rho, blind, point[0..n], value        (statement[0] is the context)
///   p = Poseidon(D), computed by the circuit only
///   gamma = keccak256(D || p) mod r,  f = sum_j D_j gamma^j
///
/// The opening shows that sum_i rho^i C_i - blind * H is a polynomial with this value at the point.
///
/// Layout of the proof, in words of 32 bytes:
///
///   p | C_0 .. C_(M-1) (x, y) | rho | blind | point[0..n] | value
///   | h q g s d (x, y) | g(zeta) g(y) h(zeta) h(y) s(zeta) s(y) | t w w' (x, y)
///   | A (x, y) | B (x_imaginary, x_real, y_imaginary, y_real) | C (x, y)
///
/// @dev Groth16 keys have gamma = the generator of G2, as all keys of ceremonies have; the public
/// inputs and the opening then share a pair. Proofs are malleable: never use their bytes as an
/// identifier. The contract does not interpret the context; its caller does, against replay.
contract FoldnetVerifier {
    /// Arrays are not encoded one after another, or calldata is longer than they are.
    error CalldataLayout();
    error StatementLength(uint256 expected, uint256 got);
    /// In bytes.
    error ProofLength(uint256 expected, uint256 got);
    /// An element of the statement is not below r.
    error StatementOutOfRange(uint256 index);
    /// A scalar of the proof is not below r.
    error ScalarOutOfRange(uint256 word);
    /// A coordinate of the proof is not below q.
    error CoordinateOutOfRange(uint256 word);
    error PointAtInfinity(uint256 word);
    /// A commitment or a point of the opening is not on the curve.
    error PointNotOnCurve();
    /// A or C is not on the curve, or B is not in the group of order r.
    error PairingInputInvalid();
    /// Challenges coincide, with probability below 2^-250.
    error ChallengeDegenerate();
    /// Groth16 proof or opening are wrong, or belong to another statement.
    error ProofInvalid();
    /// A parameter of the constructor is no key.
    error ParameterInvalid();

    /// Everything that fixes what is verified.
    struct Parameters {
        uint256[2] alpha;
        uint256[4] beta;
        uint256[4] delta;
        uint256[2][4] inputs;
        uint256[4] tauH;
        uint256[2] blindGenerator;
        uint256 model;
        uint256 count;
        uint256 statementLength;
        uint256 commitments;
        uint256 variables;
    }

    struct Challenges {
        uint256 alpha;
        uint256 gamma;
        uint256 zeta;
        uint256 beta;
        uint256 z;
        uint256 weight;
    }

    /// What the opening's equations need of the point, for zeta.
    struct Powers {
        uint256 columns; // eq polynomial of the columns at zeta
        uint256 columnsBack; // the same at 1 / zeta, times zeta^(b - 1)
        uint256 rows;
        uint256 rowsBack;
        uint256 b; // zeta^b
        uint256 bLess1; // zeta^(b - 1)
        uint256 bLess2; // zeta^(b - 2)
    }

    /// What multiplies the points of the opening; `Right` are the terms paired with tau H.
    struct Scalars {
        uint256 lines; // part of the common denominator
        uint256 generator;
        uint256 q;
        uint256 t;
        uint256 tRight;
        uint256 g;
        uint256 h;
        uint256 s;
        uint256 d;
        uint256 w;
        uint256 wPrime;
        uint256 wPrimeRight;
    }

    /// Order of the groups.
    uint256 private constant R = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;
    /// Modulus of coordinates.
    uint256 private constant Q = 0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47;
    /// Generator of G2.
    uint256 private constant H_X1 = 0x198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2;
    uint256 private constant H_X0 = 0x1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed;
    uint256 private constant H_Y1 = 0x090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b;
    uint256 private constant H_Y0 = 0x12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa;
    /// Domain tag of the opening's transcript.
    bytes32 private constant TAG = "foldnet mercury opening v1";

    /// Bytes of opening and Groth16 proof.
    uint256 private constant OPENING = 22 * 32;
    uint256 private constant GROTH16 = 8 * 32;
    /// Bytes of `verify`'s calldata before the first element of the statement.
    uint256 private constant HEAD = 4 + 3 * 32;

    uint256 public immutable model;
    uint256 public immutable count;
    uint256 public immutable statementLength;
    uint256 private immutable M;
    uint256 private immutable N;

    uint256 private immutable ALPHA_X;
    uint256 private immutable ALPHA_Y;
    uint256 private immutable BETA_X1;
    uint256 private immutable BETA_X0;
    uint256 private immutable BETA_Y1;
    uint256 private immutable BETA_Y0;
    uint256 private immutable DELTA_X1;
    uint256 private immutable DELTA_X0;
    uint256 private immutable DELTA_Y1;
    uint256 private immutable DELTA_Y0;
    uint256 private immutable INPUT0_X;
    uint256 private immutable INPUT0_Y;
    uint256 private immutable INPUT1_X;
    uint256 private immutable INPUT1_Y;
    uint256 private immutable INPUT2_X;
    uint256 private immutable INPUT2_Y;
    uint256 private immutable INPUT3_X;
    uint256 private immutable INPUT3_Y;
    uint256 private immutable TAU_X1;
    uint256 private immutable TAU_X0;
    uint256 private immutable TAU_Y1;
    uint256 private immutable TAU_Y0;
    uint256 private immutable BLIND_X;
    uint256 private immutable BLIND_Y;

    /// @param k The Groth16 key (alpha, beta, delta, inputs; gamma is the generator), tau H, the
    /// blind generator, model id, count of inferences, elements of a statement with its context,
    /// commitments M and variables n of the opened polynomial.
    constructor(Parameters memory k) {
        if (k.model >= R || k.count == 0 || k.count >= R || k.statementLength == 0 || k.statementLength > 1024) {
            revert ParameterInvalid();
        }
        if (k.commitments == 0 || k.commitments > 256 || k.variables < 2 || k.variables > 64) {
            revert ParameterInvalid();
        }
        _checkKey(k);
        model = k.model;
        count = k.count;
        statementLength = k.statementLength;
        M = k.commitments;
        N = k.variables;
        (ALPHA_X, ALPHA_Y) = (k.alpha[0], k.alpha[1]);
        (BETA_X1, BETA_X0, BETA_Y1, BETA_Y0) = (k.beta[0], k.beta[1], k.beta[2], k.beta[3]);
        (DELTA_X1, DELTA_X0, DELTA_Y1, DELTA_Y0) = (k.delta[0], k.delta[1], k.delta[2], k.delta[3]);
        (INPUT0_X, INPUT0_Y) = (k.inputs[0][0], k.inputs[0][1]);
        (INPUT1_X, INPUT1_Y) = (k.inputs[1][0], k.inputs[1][1]);
        (INPUT2_X, INPUT2_Y) = (k.inputs[2][0], k.inputs[2][1]);
        (INPUT3_X, INPUT3_Y) = (k.inputs[3][0], k.inputs[3][1]);
        (TAU_X1, TAU_X0, TAU_Y1, TAU_Y0) = (k.tauH[0], k.tauH[1], k.tauH[2], k.tauH[3]);
        (BLIND_X, BLIND_Y) = (k.blindGenerator[0], k.blindGenerator[1]);
    }

    /// Refuses points that are not in their groups, and identities: the pairing precompile checks
    /// every point that it is given.
    function _checkKey(Parameters memory k) private view {
        uint256[2][6] memory left = [k.alpha, k.inputs[0], k.inputs[1], k.inputs[2], k.inputs[3], k.blindGenerator];
        uint256[4][3] memory right = [k.beta, k.delta, k.tauH];
        uint256[36] memory pairs;
        for (uint256 i = 0; i < 6; i++) {
            uint256[4] memory second = right[i % 3];
            if (left[i][0] | left[i][1] == 0 || second[0] | second[1] | second[2] | second[3] == 0) {
                revert ParameterInvalid();
            }
            (pairs[6 * i], pairs[6 * i + 1]) = (left[i][0], left[i][1]);
            for (uint256 j = 0; j < 4; j++) {
                pairs[6 * i + 2 + j] = second[j];
            }
        }
        bool ok;
        assembly ("memory-safe") {
            ok := staticcall(gas(), 8, pairs, 0x480, 0x00, 0x20)
            ok := and(ok, eq(returndatasize(), 0x20))
        }
        if (!ok) revert ParameterInvalid();
    }

    /// @notice Verifies that the statement holds for this contract's model.
    /// @param statement The context, which is bound but not interpreted, then input and output.
    /// @param proof As described above.
    /// @return Always true: what is not accepted reverts with one of the errors above. Calldata
    /// that Solidity cannot decode reverts without data.
    function verify(uint256[] calldata statement, bytes calldata proof) external view returns (bool) {
        uint256 start = _checkLayout(statement, proof);
        _checkStatement(statement);
        _checkProof(start);
        uint256 opening = start + proof.length - (OPENING + GROTH16);
        (uint256 digest, uint256 f) = _digest(statement, start);
        (uint256 x, uint256 y) = _combine(start);
        Challenges memory c = _challenges(digest, x, y, opening);
        _checkEquation(c, start, opening, x, y, digest % R, f);
        return true;
    }

    /// Lengths are exact, and both arrays lie one after another up to the end of calldata.
    function _checkLayout(uint256[] calldata statement, bytes calldata proof) private view returns (uint256 start) {
        unchecked {
            uint256 expected = 0x20 * (1 + 2 * M + 2 + N + 1) + OPENING + GROTH16;
            if (statement.length != statementLength) revert StatementLength(statementLength, statement.length);
            if (proof.length != expected) revert ProofLength(expected, proof.length);
            uint256 first;
            assembly ("memory-safe") {
                first := statement.offset
                start := proof.offset
            }
            uint256 proofStart = HEAD + 0x20 * statement.length + 0x20;
            if (first != HEAD || start != proofStart || msg.data.length != proofStart + expected) {
                revert CalldataLayout();
            }
        }
    }

    function _checkStatement(uint256[] calldata statement) private pure {
        unchecked {
            for (uint256 i = 0; i < statement.length; i++) {
                if (statement[i] >= R) revert StatementOutOfRange(i);
            }
        }
    }

    /// Every scalar is below r, every coordinate below q, no point the identity.
    function _checkProof(uint256 start) private view {
        unchecked {
            uint256 scalars = 1 + 2 * M;
            uint256 opening = scalars + 3 + N;
            _checkScalars(start, 0, 1);
            _checkPoints(start, 1, M);
            _checkScalars(start, scalars, 3 + N);
            _checkPoints(start, opening, 5);
            _checkScalars(start, opening + 10, 6);
            _checkPoints(start, opening + 16, 4);
            _checkPointB(start, opening + 24);
            _checkPoints(start, opening + 28, 1);
        }
    }

    function _checkScalars(uint256 start, uint256 first, uint256 number) private pure {
        unchecked {
            uint256 end = start + 0x20 * (first + number);
            for (uint256 at = start + 0x20 * first; at != end; at += 0x20) {
                if (_word(at) >= R) revert ScalarOutOfRange((at - start) / 0x20);
            }
        }
    }

    function _checkPoints(uint256 start, uint256 first, uint256 number) private pure {
        unchecked {
            uint256 end = start + 0x20 * (first + 2 * number);
            for (uint256 at = start + 0x20 * first; at != end; at += 0x40) {
                (uint256 x, uint256 y) = (_word(at), _word(at + 0x20));
                if (x >= Q) revert CoordinateOutOfRange((at - start) / 0x20);
                if (y >= Q) revert CoordinateOutOfRange((at - start) / 0x20 + 1);
                if (x | y == 0) revert PointAtInfinity((at - start) / 0x20);
            }
        }
    }

    function _checkPointB(uint256 start, uint256 first) private pure {
        unchecked {
            uint256 all = 0;
            for (uint256 i = first; i < first + 4; i++) {
                uint256 coordinate = _word(start + 0x20 * i);
                if (coordinate >= Q) revert CoordinateOutOfRange(i);
                all |= coordinate;
            }
            if (all == 0) revert PointAtInfinity(first);
        }
    }

    function _word(uint256 at) private pure returns (uint256 x) {
        assembly ("memory-safe") {
            x := calldataload(at)
        }
    }

    /// keccak256(D || p), and f at gamma = digest mod r.
    function _digest(uint256[] calldata statement, uint256 start) private view returns (uint256 digest, uint256 f) {
        (uint256 m, uint256 n, uint256 id, uint256 inferences) = (M, N, model, count);
        assembly ("memory-safe") {
            // D is built in free memory and not kept.
            let d := mload(0x40)
            mstore(d, calldataload(statement.offset))
            mstore(add(d, 0x20), id)
            mstore(add(d, 0x40), inferences)
            let end := add(d, 0x60)
            let size := shl(5, sub(statement.length, 1))
            calldatacopy(end, add(statement.offset, 0x20), size)
            end := add(end, size)
            // Each coordinate becomes two limbs, low first.
            let from := add(start, 0x20)
            for { let last := add(from, shl(6, m)) } lt(from, last) { from := add(from, 0x20) } {
                let coordinate := calldataload(from)
                mstore(end, and(coordinate, 0xffffffffffffffffffffffffffffffff))
                mstore(add(end, 0x20), shr(128, coordinate))
                end := add(end, 0x40)
            }
            size := shl(5, add(n, 3))
            calldatacopy(end, from, size)
            end := add(end, size)
            mstore(end, calldataload(start))
            digest := keccak256(d, add(sub(end, d), 0x20))
            // Horner's rule from the last element; the first value of f is zero.
            let gamma := mod(digest, R)
            for {} gt(end, d) {} {
                end := sub(end, 0x20)
                f := addmod(mulmod(f, gamma, R), mload(end), R)
            }
        }
    }

    /// sum_i rho^i C_i - blind * H, by Horner's rule.
    function _combine(uint256 start) private view returns (uint256 x, uint256 y) {
        unchecked {
            uint256 sum = _free();
            uint256 first = start + 0x20;
            uint256 at = first + 0x40 * (M - 1);
            uint256 rho = _word(at + 0x40);
            uint256 blind = _word(at + 0x60);
            (x, y) = (_word(at), _word(at + 0x20));
            assembly ("memory-safe") {
                mstore(sum, x)
                mstore(add(sum, 0x20), y)
            }
            while (at != first) {
                at -= 0x40;
                bool ok;
                assembly ("memory-safe") {
                    mstore(add(sum, 0x40), rho)
                    ok := staticcall(gas(), 7, sum, 0x60, sum, 0x40)
                    ok := and(ok, eq(returndatasize(), 0x40))
                    if ok {
                        calldatacopy(add(sum, 0x40), at, 0x40)
                        ok := staticcall(gas(), 6, sum, 0x80, sum, 0x40)
                        ok := and(ok, eq(returndatasize(), 0x40))
                    }
                }
                if (!ok) revert PointNotOnCurve();
            }
            _addMultiple(sum, BLIND_X, BLIND_Y, R - blind);
            assembly ("memory-safe") {
                x := mload(sum)
                y := mload(add(sum, 0x20))
            }
        }
    }

    /// The transcript of the opening: state = keccak256(state || words), a challenge is the state
    /// modulo r. What is absorbed between two challenges lies side by side in the proof. The last
    /// challenge also absorbs the Groth16 proof and weighs the merged pairing equations.
    function _challenges(uint256 digest, uint256 x, uint256 y, uint256 opening)
        private
        view
        returns (Challenges memory c)
    {
        uint256 buffer = _free();
        uint256 point = opening - 0x20 * (N + 1);
        bytes32 tag = TAG;
        assembly ("memory-safe") {
            function squeeze(start, size, challenge) {
                let state := keccak256(start, size)
                mstore(start, state)
                mstore(challenge, mod(state, R))
            }
            mstore(buffer, tag)
            mstore(add(buffer, 0x20), digest)
            mstore(buffer, keccak256(buffer, 0x40))
            // combined commitment, point, value, h
            mstore(add(buffer, 0x20), x)
            mstore(add(buffer, 0x40), y)
            let size := sub(add(opening, 0x40), point)
            calldatacopy(add(buffer, 0x60), point, size)
            squeeze(buffer, add(size, 0x60), c)
            // q, g
            calldatacopy(add(buffer, 0x20), add(opening, 0x40), 0x80)
            squeeze(buffer, 0xa0, add(c, 0x20))
            // s, d
            calldatacopy(add(buffer, 0x20), add(opening, 0xc0), 0x80)
            squeeze(buffer, 0xa0, add(c, 0x40))
            // evaluations, t
            calldatacopy(add(buffer, 0x20), add(opening, 0x140), 0x100)
            squeeze(buffer, 0x120, add(c, 0x60))
            // w
            calldatacopy(add(buffer, 0x20), add(opening, 0x240), 0x40)
            squeeze(buffer, 0x60, add(c, 0x80))
            // w', A, B, C
            calldatacopy(add(buffer, 0x20), add(opening, 0x280), 0x140)
            squeeze(buffer, 0x160, add(c, 0xa0))
        }
    }

    /// Values of the eq polynomials prod_j (u_j X^(2^j) + 1 - u_j) of columns and rows, u_0 the
    /// last variable. The factor at 1 / zeta, times zeta^(2^j), is u_j + (1 - u_j) zeta^(2^j).
    function _powers(uint256 zeta, uint256 point) private view returns (Powers memory v) {
        unchecked {
            uint256 columns = (N + 1) / 2;
            uint256 power = zeta;
            uint256 row = point + 0x20 * (N - columns);
            uint256 column = point + 0x20 * N;
            uint256 stop = row;
            (v.columns, v.columnsBack, v.rows, v.rowsBack, v.bLess2) = (1, 1, 1, 1, 1);
            while (column != stop) {
                column -= 0x20;
                uint256 t = mulmod(_word(column), power + R - 1, R);
                v.columns = mulmod(v.columns, t + 1, R);
                v.columnsBack = mulmod(v.columnsBack, power + R - t, R);
                // With an odd number of variables the rows have one less: a leading zero.
                t = 0;
                if (row != point) {
                    row -= 0x20;
                    t = mulmod(_word(row), power + R - 1, R);
                }
                v.rows = mulmod(v.rows, t + 1, R);
                v.rowsBack = mulmod(v.rowsBack, power + R - t, R);
                if (column != point + 0x20 * (N - 1)) v.bLess2 = mulmod(v.bLess2, power, R);
                power = mulmod(power, power, R);
            }
            v.bLess1 = mulmod(v.bLess2, zeta, R);
            v.b = power;
        }
    }

    /// 2 zeta^(b - 1) h(alpha), which the two inner products leave of the claimed evaluations.
    function _doubleHAlpha(Challenges memory c, Powers memory v, uint256 opening) private pure returns (uint256 sum) {
        unchecked {
            uint256 at = opening + 0x140;
            uint256 value = _word(opening - 0x20);
            sum = mulmod(_word(at + 0x40), v.rowsBack, R);
            uint256 back = mulmod(_word(at + 0x60), v.rows, R) + 2 * (R - value);
            sum = mulmod(sum + mulmod(back, v.bLess1, R), c.gamma, R);
            sum += mulmod(_word(at), v.columnsBack, R);
            sum += mulmod(mulmod(_word(at + 0x20), v.columns, R), v.bLess1, R);
            sum += mulmod(R - _word(at + 0x80), v.b, R);
            sum = addmod(sum, mulmod(R - _word(at + 0xa0), v.bLess2, R), R);
        }
    }

    /// zeta^2 - 1 times the value at x of the line through (zeta, left) and (y, right), where `far`
    /// is zeta (x - y) and `near` is zeta (x - zeta).
    function _line(uint256 left, uint256 right, uint256 far, uint256 near) private pure returns (uint256) {
        unchecked {
            return mulmod(left, far, R) + R - mulmod(right, near, R);
        }
    }

    /// What multiplies the points of the opening. With y = 1 / zeta its two equations are, each of
    /// the form e(left, H) = e(right, tau H):
    ///
    ///   F - (zeta^b - alpha) q - g(zeta) G + zeta t  and  t
    ///   t1 g + beta h + beta^2 t1 s + beta^3 t4 d - sigma G - t4 (z - zeta) w + z w'  and  w'
    ///
    /// for t1 = z - alpha, t4 = t1 (z - y), and sigma the same combination of the interpolated
    /// values at z. The first is weighed by the last challenge, the second by its square times the
    /// common denominator 2 zeta^b (zeta^2 - 1) (alpha - zeta) (alpha zeta - 1): the equation
    /// stays equivalent, since the denominator is not zero, and nothing is inverted.
    function _scalars(Challenges memory c, Powers memory v, uint256 opening) private pure returns (Scalars memory k) {
        unchecked {
            uint256 zeta = c.zeta;
            uint256 far = mulmod(c.z, zeta, R) + R - 1;
            uint256 t1 = c.z + R - c.alpha;
            // 2 zeta^(b - 1) (alpha - zeta) (alpha zeta - 1)
            k.lines = mulmod(2 * v.bLess1, mulmod(c.alpha + R - zeta, mulmod(c.alpha, zeta, R) + R - 1, R), R);
            uint256 square = mulmod(c.weight, c.weight, R);
            uint256 scale = mulmod(mulmod(k.lines, mulmod(zeta, zeta, R) + R - 1, R), square, R);
            uint256 scaleZeta = mulmod(scale, zeta, R);
            if (scaleZeta == 0) revert ChallengeDegenerate();
            k.q = mulmod(c.weight, c.alpha + R - v.b, R);
            k.t = mulmod(c.weight, zeta, R);
            k.tRight = R - c.weight;
            k.g = mulmod(scaleZeta, t1, R);
            k.h = mulmod(scaleZeta, c.beta, R);
            uint256 betaSquare = mulmod(c.beta, c.beta, R);
            k.s = mulmod(k.g, betaSquare, R);
            uint256 t4 = mulmod(mulmod(scale, t1, R), far, R);
            k.d = mulmod(t4, mulmod(betaSquare, c.beta, R), R);
            k.w = R - mulmod(t4, c.z + R - zeta, R);
            k.wPrime = mulmod(scaleZeta, c.z, R);
            k.wPrimeRight = R - scaleZeta;
            uint256 sigma = mulmod(_interpolated(c, v, opening, k.lines, far, t1), mulmod(square, zeta, R), R);
            sigma += mulmod(k.d, mulmod(v.bLess1, _word(opening + 0x160), R), R);
            k.generator = R - addmod(sigma, mulmod(c.weight, _word(opening + 0x140), R), R);
        }
    }

    /// t1 g*(z) + beta h*(z) + beta^2 t1 s*(z) times the common denominator without its factor zeta.
    /// g* and s* are lines through the values at zeta and y; h* takes its third value at alpha:
    /// h*(z) = line(z) + (h(alpha) - line(alpha)) (z - zeta) (z - y) / ((alpha - zeta) (alpha - y)).
    function _interpolated(
        Challenges memory c,
        Powers memory v,
        uint256 opening,
        uint256 lines,
        uint256 far,
        uint256 t1
    ) private pure returns (uint256) {
        unchecked {
            uint256 zeta = c.zeta;
            uint256 at = opening + 0x140;
            uint256 near = mulmod(zeta, c.z + R - zeta, R);
            uint256 sum = _line(_word(at), _word(at + 0x20), far, near);
            uint256 s = _line(_word(at + 0x80), _word(at + 0xa0), far, near);
            sum = mulmod(sum + mulmod(mulmod(c.beta, c.beta, R), s, R), t1, R);
            (uint256 left, uint256 right) = (_word(at + 0x40), _word(at + 0x60));
            sum = mulmod(sum + mulmod(c.beta, _line(left, right, far, near), R), lines, R);
            uint256 atAlpha =
                _line(left, right, mulmod(c.alpha, zeta, R) + R - 1, mulmod(zeta, c.alpha + R - zeta, R));
            uint256 bend = mulmod(mulmod(zeta, zeta, R) + R - 1, _doubleHAlpha(c, v, opening), R);
            bend += R - mulmod(2 * v.bLess1, atAlpha, R);
            bend = mulmod(bend, mulmod(far, c.z + R - zeta, R), R);
            return sum + mulmod(bend, c.beta, R);
        }
    }

    /// The merged equation
    ///
    ///   e(-A, B) e(alpha, beta) e(K_0 + p K_1 + gamma K_2 + f K_3 + left, H) e(C, delta)
    ///     e(-right, tau H) = 1
    ///
    /// with the opening's weighed points left and right. Points are summed where the precompile
    /// expects them; its other inputs are written afterwards, since sums need room behind them.
    function _checkEquation(
        Challenges memory c,
        uint256 start,
        uint256 opening,
        uint256 x,
        uint256 y,
        uint256 gamma,
        uint256 f
    ) private view {
        Scalars memory k = _scalars(c, _powers(c.zeta, opening - 0x20 * (N + 1)), opening);
        uint256 pairs = _free();
        unchecked {
            uint256 left = pairs + 0x180;
            _store(left, INPUT0_X, INPUT0_Y);
            _addMultiple(left, INPUT1_X, INPUT1_Y, _word(start));
            _addMultiple(left, INPUT2_X, INPUT2_Y, gamma);
            _addMultiple(left, INPUT3_X, INPUT3_Y, f);
            _addMultiple(left, x, y, c.weight);
            _addMultiple(left, 1, 2, k.generator);
            _addPoint(left, opening + 0x40, k.q);
            _addPoint(left, opening + 0x200, k.t);
            _addPoint(left, opening + 0x80, k.g);
            _addPoint(left, opening, k.h);
            _addPoint(left, opening + 0xc0, k.s);
            _addPoint(left, opening + 0x100, k.d);
            _addPoint(left, opening + 0x240, k.w);
            _addPoint(left, opening + 0x280, k.wPrime);
            uint256 right = pairs + 0x300;
            _multiply(right, opening + 0x200, k.tRight);
            _addPoint(right, opening + 0x280, k.wPrimeRight);
        }
        _checkPairing(pairs, opening + OPENING);
    }

    /// Fills in everything but the two sums, and checks the product.
    function _checkPairing(uint256 pairs, uint256 groth16) private view {
        unchecked {
            _store(pairs + 0x1c0, H_X1, H_X0);
            _store(pairs + 0x200, H_Y1, H_Y0);
            _store(pairs + 0x340, TAU_X1, TAU_X0);
            _store(pairs + 0x380, TAU_Y1, TAU_Y0);
            _store(pairs + 0xc0, ALPHA_X, ALPHA_Y);
            _store(pairs + 0x100, BETA_X1, BETA_X0);
            _store(pairs + 0x140, BETA_Y1, BETA_Y0);
            _store(pairs + 0x280, DELTA_X1, DELTA_X0);
            _store(pairs + 0x2c0, DELTA_Y1, DELTA_Y0);
        }
        bool ok;
        uint256 product;
        assembly ("memory-safe") {
            calldatacopy(pairs, groth16, 0xc0)
            // -A; no point of the curve has y = 0, for which the precompile refuses q.
            mstore(add(pairs, 0x20), sub(Q, mload(add(pairs, 0x20))))
            calldatacopy(add(pairs, 0x240), add(groth16, 0xc0), 0x40)
            ok := staticcall(gas(), 8, pairs, 0x3c0, 0x00, 0x20)
            ok := and(ok, eq(returndatasize(), 0x20))
            product := mload(0x00)
        }
        if (!ok) revert PairingInputInvalid();
        if (product != 1) revert ProofInvalid();
    }

    /// Memory behind everything allocated, used for one function's work only.
    function _free() private pure returns (uint256 at) {
        assembly ("memory-safe") {
            at := mload(0x40)
        }
    }

    function _store(uint256 at, uint256 first, uint256 second) private pure {
        assembly ("memory-safe") {
            mstore(at, first)
            mstore(add(at, 0x20), second)
        }
    }

    /// The point at `sum` becomes itself plus scalar * (x, y); uses 0x60 bytes behind it.
    function _addMultiple(uint256 sum, uint256 x, uint256 y, uint256 scalar) private view {
        _store(sum + 0x40, x, y);
        _addScaled(sum, scalar);
    }

    /// The same for a point of calldata.
    function _addPoint(uint256 sum, uint256 at, uint256 scalar) private view {
        assembly ("memory-safe") {
            calldatacopy(add(sum, 0x40), at, 0x40)
        }
        _addScaled(sum, scalar);
    }

    function _addScaled(uint256 sum, uint256 scalar) private view {
        bool ok;
        assembly ("memory-safe") {
            let term := add(sum, 0x40)
            mstore(add(sum, 0x80), scalar)
            ok := staticcall(gas(), 7, term, 0x60, term, 0x40)
            ok := and(ok, eq(returndatasize(), 0x40))
            if ok {
                ok := staticcall(gas(), 6, sum, 0x80, sum, 0x40)
                ok := and(ok, eq(returndatasize(), 0x40))
            }
        }
        if (!ok) revert PointNotOnCurve();
    }

    /// Writes scalar * (point of calldata) to `to`.
    function _multiply(uint256 to, uint256 at, uint256 scalar) private view {
        bool ok;
        assembly ("memory-safe") {
            calldatacopy(to, at, 0x40)
            mstore(add(to, 0x40), scalar)
            ok := staticcall(gas(), 7, to, 0x60, to, 0x40)
            ok := and(ok, eq(returndatasize(), 0x40))
        }
        if (!ok) revert PointNotOnCurve();
    }
}
