//! An embedded EVM with the rules of the main network.

use super::refusal::Refusal;
use super::{CONTRACT, Parameters};
use crate::mercury::words::Word;
use revm::context::result::{ExecutionResult, Output};
use revm::context::{BlockEnv, CfgEnv, Context, Evm, Journal, TxEnv};
use revm::database::{CacheDB, EmptyDB};
use revm::handler::instructions::EthInstructions;
use revm::handler::{EthFrame, EthPrecompiles};
use revm::inspector::Inspector;
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::{CallInputs, CallOutcome};
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, Bytes, TxKind};
use revm::{InspectCommitEvm, MainBuilder};
use std::fmt;
use thiserror::Error;

/// The rules that gas is counted by.
const RULES: SpecId = SpecId::OSAKA;

/// Gas that a transaction may use at most.
const GAS_LIMIT: u64 = 16_000_000;

/// What every transaction costs.
const BASE_GAS: u64 = 21_000;

/// Why nothing was executed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EvmError {
    /// The committed build output is damaged.
    #[error("the contract's code cannot be read: {0}; build it again")]
    Code(String),
    /// The contract's constructor refused.
    #[error("the contract was not deployed: {0}")]
    Deployment(Refusal),
    /// The machine refused the transaction, or it ran out of gas.
    #[error("the transaction was not executed: {0}; check its size and gas")]
    Transaction(String),
}

/// Where the gas of one transaction went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gas {
    /// All of it.
    pub total: u64,
    /// 21,000.
    pub base: u64,
    /// 16 for each byte of calldata that is not zero, 4 for each that is.
    pub calldata: u64,
    /// Number and gas of point additions.
    pub additions: (u64, u64),
    /// Number and gas of scalar multiplications.
    pub multiplications: (u64, u64),
    /// Number and gas of pairing checks.
    pub pairings: (u64, u64),
    /// The contract's own instructions.
    pub instructions: u64,
}

/// What a call returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Accepted, or the contract's error.
    pub verdict: Result<(), Refusal>,
    /// What it cost.
    pub gas: Gas,
}

/// Counts what precompiled contracts use.
#[derive(Clone, Debug, Default)]
struct Meter {
    gas: Gas,
}

impl<C> Inspector<C> for Meter {
    fn call_end(&mut self, _context: &mut C, inputs: &CallInputs, outcome: &mut CallOutcome) {
        let counter = match inputs.target_address {
            a if a == Address::with_last_byte(6) => &mut self.gas.additions,
            a if a == Address::with_last_byte(7) => &mut self.gas.multiplications,
            a if a == Address::with_last_byte(8) => &mut self.gas.pairings,
            _ => return,
        };
        counter.0 += 1;
        counter.1 += outcome.gas().total_gas_spent();
    }
}

type Database = CacheDB<EmptyDB>;
type MachineContext = Context<BlockEnv, TxEnv, CfgEnv, Database, Journal<Database>, ()>;
type Inner = Evm<
    MachineContext,
    Meter,
    EthInstructions<EthInterpreter, MachineContext>,
    EthPrecompiles,
    EthFrame<EthInterpreter>,
>;

/// A machine with one deployed verifier.
pub struct Machine {
    inner: Inner,
    address: Address,
    deployment_gas: u64,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("address", &self.address)
            .field("deployment_gas", &self.deployment_gas)
            .finish_non_exhaustive()
    }
}

impl Machine {
    /// Deploys the contract.
    ///
    /// # Errors
    /// [`EvmError::Deployment`] when the constructor refuses.
    pub fn deploy(parameters: &Parameters) -> Result<Self, EvmError> {
        Machine::deploy_words(&parameters.words())
    }

    /// Deploys the contract with these words as the constructor's arguments.
    ///
    /// # Errors
    /// [`EvmError::Deployment`] when the constructor refuses.
    pub fn deploy_words(arguments: &[Word]) -> Result<Self, EvmError> {
        let code = [&creation_code()?, arguments.as_flattened()].concat();
        let context = Context::<BlockEnv, TxEnv, CfgEnv, Database, Journal<Database>, ()>::new(
            CacheDB::new(EmptyDB::new()),
            RULES,
        );
        let mut inner = context.build_mainnet_with_inspector(Meter::default());
        let result = transact(&mut inner, TxKind::Create, 0, &code)?;
        match result {
            ExecutionResult::Success {
                gas,
                output: Output::Create(_, Some(address)),
                ..
            } => Ok(Machine {
                inner,
                address,
                deployment_gas: gas.tx_gas_used(),
            }),
            ExecutionResult::Revert { output, .. } => {
                Err(EvmError::Deployment(Refusal::decode(&output)))
            }
            other => Err(EvmError::Transaction(format!("{other:?}"))),
        }
    }

    /// Gas of the deployment.
    pub fn deployment_gas(&self) -> u64 {
        self.deployment_gas
    }

    /// Calls the contract in a transaction of its own.
    ///
    /// # Errors
    /// [`EvmError::Transaction`] when the machine refuses the transaction or it runs out of gas.
    pub fn call(&mut self, calldata: &[u8]) -> Result<Execution, EvmError> {
        self.inner.inspector = Meter::default();
        let result = transact(&mut self.inner, TxKind::Call(self.address), 1, calldata)?;
        let total = result.tx_gas_used();
        let verdict = match result {
            ExecutionResult::Success { output, .. } if is_true(output.data()) => Ok(()),
            ExecutionResult::Success { output, .. } => {
                Err(Refusal::Unknown(output.into_data().to_vec()))
            }
            ExecutionResult::Revert { output, .. } => Err(Refusal::decode(&output)),
            ExecutionResult::Halt { reason, .. } => {
                return Err(EvmError::Transaction(format!("{reason:?}")));
            }
        };
        let gas = breakdown(self.inner.inspector.gas, total, calldata);
        Ok(Execution { verdict, gas })
    }
}

/// The word one.
fn is_true(output: &[u8]) -> bool {
    matches!(output, [zeros @ .., 1] if zeros.len() == 31 && zeros.iter().all(|byte| *byte == 0))
}

fn breakdown(metered: Gas, total: u64, calldata: &[u8]) -> Gas {
    let calldata = calldata.iter().map(|b| if *b == 0 { 4 } else { 16 }).sum();
    let precompiled = metered.additions.1 + metered.multiplications.1 + metered.pairings.1;
    Gas {
        total,
        base: BASE_GAS,
        calldata,
        instructions: total.saturating_sub(BASE_GAS + calldata + precompiled),
        ..metered
    }
}

/// The code that the constructor's arguments are appended to.
fn creation_code() -> Result<Vec<u8>, EvmError> {
    let build: serde_json::Value =
        serde_json::from_str(CONTRACT).map_err(|error| EvmError::Code(error.to_string()))?;
    let hex = build.get("bytecode").and_then(|code| code.as_str());
    let hex = hex.ok_or_else(|| EvmError::Code("no bytecode".into()))?;
    let code = hex.parse::<Bytes>();
    code.map(|code| code.to_vec())
        .map_err(|error| EvmError::Code(error.to_string()))
}

fn transact(
    inner: &mut Inner,
    kind: TxKind,
    nonce: u64,
    data: &[u8],
) -> Result<ExecutionResult, EvmError> {
    let refused = |error: String| EvmError::Transaction(error);
    inner.ctx.cfg.disable_nonce_check = true;
    let transaction = TxEnv::builder()
        .kind(kind)
        .nonce(nonce)
        .gas_limit(GAS_LIMIT)
        .data(Bytes::copy_from_slice(data))
        .build()
        .map_err(|error| refused(format!("{error:?}")))?;
    inner
        .inspect_tx_commit(transaction)
        .map_err(|error| refused(error.to_string()))
}
